//! Tables: lists of HR, exports of Auth0 with columns of any name, and the files of Entra ID.

use super::{Person, SourceError, Sourced, is_email, names_somebody};

/// Words in the name of a column that holds the people, best first.
const COLUMNS: [&str; 9] =
    ["user_id", "userid", "auth0 id", "user id", "userprincipalname", "e-mail", "email", "mail", "id"];

/// Reads a table. Rows are all used or none.
pub fn read(text: &str, column: Option<&str>) -> Result<Sourced, SourceError> {
    let (text, skip, named) = without_first(text);
    let delimiter = named.unwrap_or_else(|| delimiter(text));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| {
            let at = error.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0)) + skip;
            SourceError::Entry { place: "line", at, why: "this is no row of a table".to_owned() }
        })?;
        let line = row.position().map_or(0, |position| line_at(text, position.byte())) + skip;
        if row.iter().any(|cell| !cell.is_empty()) {
            rows.push((line, row.iter().map(str::to_owned).collect::<Vec<_>>()));
        }
    }
    let (_, header) = rows.first().ok_or(SourceError::Unknown)?;
    let is_headless = column.is_none() && header.iter().any(|cell| names_somebody(cell));
    let at = if is_headless { find_by_values(&rows) } else { find(header, &rows[1..], column)? };
    let at = at.ok_or_else(|| SourceError::Column(header.join(", ")))?;
    let mut sourced = Sourced { shape: "table", ..Sourced::default() };
    for (line, row) in rows.iter().skip(usize::from(!is_headless)) {
        let cell = row.get(at).map(String::as_str).unwrap_or_default().trim_start_matches('\'');
        if row.first().is_some_and(|cell| cell.starts_with("Example:")) {
            continue;
        }
        if !names_somebody(cell) {
            let why = match cell {
                "" => "the column of the people is empty".to_owned(),
                cell => format!("{cell:?} is neither a user id nor an e-mail address"),
            };
            return Err(SourceError::Entry { place: "line", at: *line, why });
        }
        sourced.people.push(Person { text: cell.to_owned(), at: *line });
    }
    if sourced.people.is_empty() { Err(SourceError::Unknown) } else { Ok(sourced) }
}

/// The number of the line at this byte, from 1. Empty lines before a row are not part of it.
fn line_at(text: &str, byte: u64) -> usize {
    let at = usize::try_from(byte).unwrap_or(0).min(text.len());
    let blank = text.as_bytes()[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text.as_bytes()[..at + blank].iter().filter(|byte| **byte == b'\n').count()
}

/// The table, how many lines stand before it, and what separates its cells, if one of them says so. Entra ID begins its
/// files with a line for itself, and spreadsheets with `sep=;`.
fn without_first(text: &str) -> (&str, usize, Option<u8>) {
    match text.split_once('\n').map(|(first, rest)| (first.trim_end_matches('\r'), rest)) {
        Some((first, rest)) if first.starts_with("version:") => (rest, 1, None),
        Some((first, rest)) => match first.trim_matches('"').strip_prefix("sep=").map(str::as_bytes) {
            Some([sign]) => (rest, 1, Some(*sign)),
            _ => (text, 0, None),
        },
        None => (text, 0, None),
    }
}

/// What separates the cells: of the usual signs, the one that the first line has most of.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |sign: u8| first.bytes().filter(|byte| *byte == sign).count();
    b",;\t".iter().copied().max_by_key(|sign| (count(*sign), *sign == b',')).unwrap_or(b',')
}

/// The column of this name, or the one whose name says that it holds the people.
fn find(header: &[String], rows: &[(usize, Vec<String>)], column: Option<&str>) -> Result<Option<usize>, SourceError> {
    if let Some(name) = column {
        let found = header.iter().position(|cell| cell.eq_ignore_ascii_case(name));
        return found.map(Some).ok_or_else(|| SourceError::Column(header.join(", ")));
    }
    let lower: Vec<String> = header.iter().map(|cell| cell.to_lowercase()).collect();
    let holds_people = |at: &usize| rows.iter().any(|(_, row)| row.get(*at).is_some_and(|cell| names_somebody(cell)));
    for word in COLUMNS {
        let mut named = (0..lower.len()).filter(|at| lower[*at].contains(word)).filter(holds_people);
        if let Some(at) = named.next() {
            // Two columns of addresses, such as those at work and at home, are told apart by a person.
            let is_clear = named.next().is_none() || lower[at] == word;
            return if is_clear { Ok(Some(at)) } else { Err(SourceError::Column(header.join(", "))) };
        }
    }
    Ok(find_by_values(rows))
}

/// The only column that holds people.
fn find_by_values(rows: &[(usize, Vec<String>)]) -> Option<usize> {
    let width = rows.iter().map(|(_, row)| row.len()).max()?;
    let of = |is: fn(&str) -> bool| {
        let all = |at: &usize| rows.iter().all(|(_, row)| row.get(*at).is_some_and(|cell| is(cell)));
        let mut found = (0..width).filter(all);
        found.next().filter(|_| found.next().is_none())
    };
    of(crate::api::is_user_id).or_else(|| of(is_email))
}

#[cfg(test)]
mod tests {
    use super::super::read as read_bytes;
    use super::*;

    fn people(text: &str, column: Option<&str>) -> Vec<String> {
        read_bytes(text.as_bytes(), column).unwrap().people.into_iter().map(|person| person.text).collect()
    }

    #[test]
    fn a_list_of_hr_has_its_traps() {
        let text = "\u{feff}Employee No;Last name;First name;Work e-mail;Last working day;Reason\r\n\
                    004711;\"O'Neil, Dr.\";Jane;Jane.Oneil@acme.example;31.12.2026;Resignation\r\n\
                    004712;M\u{fc}ller;J\u{f6}rg;joerg.mueller@acme.example;2026-12-31;Rehire 01.03.2027\r\n\r\n\
                    004712;M\u{fc}ller;J\u{f6}rg;Joerg.Mueller@acme.example;2026-12-31;twice\r\n";
        assert_eq!(people(text, None), ["Jane.Oneil@acme.example", "joerg.mueller@acme.example"]);
        // The same in Latin-1.
        let latin: Vec<u8> =
            text.trim_start_matches('\u{feff}').chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        assert_eq!(read_bytes(&latin, None).unwrap().people.len(), 2);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read_bytes(&utf16, None).unwrap().people.len(), 2, "as a spreadsheet writes Unicode");
    }

    #[test]
    fn an_export_of_auth0_has_columns_of_any_name() {
        let text = "id,mail,provider,country\nauth0|65a1b2c3d4e5f60718293a4b,jane@acme.example,Users,DE\n\
                    samlp|acme-adfs|Jane.Doe@acme.example,jane@acme.example,acme-adfs,\n";
        // The addresses are of one person; the ids are what tells the accounts apart, but the header says mail first.
        assert_eq!(
            people(text, Some("ID")),
            ["auth0|65a1b2c3d4e5f60718293a4b", "samlp|acme-adfs|Jane.Doe@acme.example"]
        );
        let odd = "konto;land\nauth0|1;DE\nwaad|aBc-1_2;FR\n";
        assert_eq!(people(odd, None), ["auth0|1", "waad|aBc-1_2"]);
        assert_eq!(people("auth0|1\nauth0|2\n", None), ["auth0|1", "auth0|2"], "no header at all");
    }

    #[test]
    fn a_spreadsheet_says_what_separates() {
        for text in [
            "sep=;\r\nName, first;Mail\r\nDoe, Jane;jane@acme.example\r\n",
            "\"sep=\t\"\nMail\tx\njane@acme.example\t1\n",
        ] {
            assert_eq!(people(text, None), ["jane@acme.example"], "{text}");
        }
        let wrong = read_bytes(b"sep=;\nMail;x\nnobody;1\n", Some("mail")).unwrap_err().to_string();
        assert!(wrong.starts_with("line 3:"), "{wrong}");
    }

    #[test]
    fn a_column_that_is_named_is_the_column() {
        let headless = b"jane@acme.example;1\njoe@acme.example;2\n";
        assert!(matches!(read_bytes(headless, Some("mail")), Err(SourceError::Column(_))));
    }

    #[test]
    fn entra_has_two_headers_and_an_example() {
        let text =
            "version:v1.0\nUser name [userPrincipalName] Required\nExample: chris@contoso.example\njane@acme.example\n";
        assert_eq!(people(text, None), ["jane@acme.example"]);
    }

    #[test]
    fn what_is_not_clear_is_said() {
        let two = "name,private e-mail,work e-mail\nJane,j@home.example,jane@acme.example\n";
        let error = read_bytes(two.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains("--column, one of: name, private e-mail, work e-mail"), "{error}");
        assert_eq!(people(two, Some("Work E-Mail")), ["jane@acme.example"]);
        let empty = "email\njane@acme.example\n\nnobody\n";
        let error = read_bytes(empty.as_bytes(), None).unwrap_err().to_string();
        assert_eq!(error, "line 4: \"nobody\" is neither a user id nor an e-mail address", "all rows or none");
        assert_eq!(read_bytes(b"a,b\n1,2\n", None), Err(SourceError::Column("a, b".to_owned())));
        assert_eq!(read_bytes(b"\xef\xbb\xbf\r\n", None), Err(SourceError::Empty));
        assert!(matches!(read_bytes(b"PK\x03\x04\x14\0", None), Err(SourceError::Packed(_))));
    }
}
