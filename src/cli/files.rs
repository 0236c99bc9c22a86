//! Files that people give, whatever program has written them. One that is too large is refused: what is cut off would
//! be missing without a word.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::CliError;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// What to call a file in messages, and all of its bytes. "-" is standard input.
pub fn read_file(file: &Path) -> Result<(String, Vec<u8>), CliError> {
    let is_stdin = file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let read =
        if is_stdin { bytes(io::stdin(), MAX_FILE) } else { File::open(file).and_then(|file| bytes(file, MAX_FILE)) };
    match read {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(CliError::failed(format!("{name} cannot be read ({error})"))),
    }
}

fn bytes(file: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.take(max + 1).read_to_end(&mut bytes)? as u64 > max {
        return Err(io::Error::other(format!("it has more than {} MiB: divide it", max >> 20)));
    }
    Ok(bytes)
}

/// UTF-8, with or without a mark of the byte order, UTF-16 with one, else Latin-1 as spreadsheets write it.
pub fn decoded(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| windows_1252(*byte)).collect(),
        },
    }
}

/// What Windows makes of a byte. Where it has no character, Latin-1's.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    if (0x80..0xa0).contains(&byte) { HIGH[usize::from(byte) - 0x80] } else { char::from(byte) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_not_cut_off() {
        assert_eq!(bytes(&[7; 8][..], 8).unwrap().len(), 8);
        assert!(bytes(&[7; 9][..], 8).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn texts_of_windows_are_read() {
        let utf16 = |order: fn(u16) -> [u8; 2]| "\u{feff}ä;b".encode_utf16().flat_map(order).collect::<Vec<_>>();
        for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), "\u{feff}ä;b".into(), b"\xe4;b".to_vec()] {
            assert_eq!(decoded(&bytes), "ä;b");
        }
        assert_eq!(decoded(b"\x80\x93"), "€“");
    }
}
