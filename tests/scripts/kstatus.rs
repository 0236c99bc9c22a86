//! Flux, Helm 4 and similar tools judge by kstatus. This runs the real one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lua::kinds;
use crate::statuses::{all, fresh};

fn verdicts(objects: &[Value]) -> Vec<String> {
    let program = stack::binaries::locate("kstatus").expect("kstatus");
    let mut asked = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = asked.stdin.take().unwrap();
    let input: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = asked.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let verdicts: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), objects.len());
    verdicts
}

#[test]
fn kstatus_says_what_the_table_says() {
    let cases = all();
    let objects: Vec<Value> = cases.iter().map(|case| case.object.clone()).collect();
    for (case, verdict) in cases.iter().zip(verdicts(&objects)) {
        assert_eq!(verdict, case.kstatus, "{}: {:#}", case.name, case.object);
    }
    let edited = objects.into_iter().map(|mut object| {
        object["metadata"]["generation"] = json!(4);
        object
    });
    let unseen: Vec<Value> = edited.chain(kinds().into_iter().map(|kind| fresh(&kind))).collect();
    for (object, verdict) in unseen.iter().zip(verdicts(&unseen)) {
        assert_eq!(verdict, "InProgress", "{object:#}");
    }
}
