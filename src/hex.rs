//! Bytes as hex digits, for hashes.

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16));
    bytes.as_ref().iter().flat_map(digits).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn two_digits_a_byte() {
        assert_eq!(hex([0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
