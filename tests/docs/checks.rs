//! docs/checks.md: a section for each code of `kubectl rescind check`. `make docs` writes the page.

use rescind::cli::{CHECKS, OLDEST_MINOR};

use crate::generated_file::assert_up_to_date;
use crate::repository::read;

const HEAD: &str = "\
# Checks

What each code of `kubectl rescind check` means, and what to do. A line of its output begins with a sign: √ fine, ‼ to
be looked at, × wrong, ? could not be found out. The command changes nothing and does not call Auth0: what it says of
a token is what the token says of itself, or what the operator wrote into the status of the tenant. A code is never
given to another check.
";

/// `text` in lines of at most 120 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().unwrap();
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= 120 {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn every_code_has_a_section() {
    let mut text = HEAD.to_owned();
    for code in CHECKS {
        let (meaning, remedy) = (wrapped(code.meaning), wrapped(code.remedy));
        text += &format!("\n## {}\n\n{}.\n\n{meaning}\n\n{remedy}\n", code.id, code.title);
    }
    assert_up_to_date(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks.md"), &text, "docs");
}

#[test]
fn the_oldest_kubernetes_is_that_of_the_chart() {
    assert!(read("charts/rescind/Chart.yaml").contains(&format!("kubeVersion: \">=1.{OLDEST_MINOR}.0-0\"")));
}
