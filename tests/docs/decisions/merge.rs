//! Makes few rows of many: cases that differ in one column and agree in what follows become one row.

use std::collections::BTreeSet;

/// A column of a table: its title, its values in order, and names for several of them together.
pub struct Column {
    pub title: &'static str,
    pub values: Vec<String>,
    pub groups: &'static [(&'static [usize], &'static str)],
}

/// Which values of each column, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    sets: Vec<BTreeSet<usize>>,
    outcome: String,
}

/// Every combination of the columns, as indices.
pub fn combinations(columns: &[Column]) -> Vec<Vec<usize>> {
    columns.iter().fold(vec![Vec::new()], |rows, column| {
        let longer = |row: Vec<usize>| (0..column.values.len()).map(move |value| [&row[..], &[value]].concat());
        rows.into_iter().flat_map(longer).collect()
    })
}

/// The table of these cases in Markdown. What follows from most rows comes last, as "everything else".
pub fn table(columns: &[Column], cases: &[(Vec<usize>, String)]) -> String {
    let rows = merged(columns.len(), cases);
    let usual = rows.iter().map(|row| &row.outcome).max_by_key(|outcome| {
        let rows = rows.iter().filter(|row| row.outcome == **outcome);
        (rows.count(), std::cmp::Reverse((*outcome).clone()))
    });
    let usual = usual.cloned().unwrap();
    let mut others: Vec<&Row> = rows.iter().filter(|row| row.outcome != usual).collect();
    others.sort_by(|a, b| a.sets.cmp(&b.sets));
    // A column in which nothing differs says nothing.
    let told: Vec<usize> = (0..columns.len())
        .filter(|column| others.iter().any(|row| row.sets[*column].len() < columns[*column].values.len()))
        .collect();
    let titles = told.iter().map(|column| columns[*column].title).chain(["What follows"]).collect::<Vec<_>>();
    let mut text = format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for row in others {
        let words = told.iter().map(|column| words(&columns[*column], &row.sets[*column]));
        let words = words.chain([row.outcome.clone()]).collect::<Vec<_>>();
        text += &format!("| {} |\n", words.join(" | "));
    }
    if told.is_empty() {
        return format!("Always: {usual}.\n");
    }
    text + &format!("| everything else {}| {usual} |\n", "| ".repeat(told.len() - 1))
}

fn words(column: &Column, set: &BTreeSet<usize>) -> String {
    let chosen: Vec<usize> = set.iter().copied().collect();
    if chosen.len() == column.values.len() {
        return "any".to_owned();
    }
    if let Some((_, name)) = column.groups.iter().find(|(group, _)| *group == chosen) {
        return (*name).to_owned();
    }
    // Numbers in a row become a range.
    let is_number = |i: &usize| column.values[*i].parse::<usize>().is_ok();
    let runs = chosen.chunk_by(|a, b| a + 1 == *b && is_number(a) && is_number(b));
    let run = |run: &[usize]| match run {
        [first, .., last] if run.len() > 2 => format!("{} to {}", column.values[*first], column.values[*last]),
        few => few.iter().map(|i| column.values[*i].as_str()).collect::<Vec<_>>().join(", "),
    };
    runs.map(run).collect::<Vec<_>>().join(", ")
}

fn merged(columns: usize, cases: &[(Vec<usize>, String)]) -> Vec<Row> {
    let single = |(values, outcome): &(Vec<usize>, String)| Row {
        sets: values.iter().map(|value| BTreeSet::from([*value])).collect(),
        outcome: outcome.clone(),
    };
    let mut rows: Vec<Row> = cases.iter().map(single).collect();
    loop {
        let before = rows.len();
        for column in (0..columns).rev() {
            rows = rows.into_iter().fold(Vec::new(), |mut done: Vec<Row>, row| {
                let fits = |other: &&mut Row| {
                    let same = |i: usize| i == column || other.sets[i] == row.sets[i];
                    other.outcome == row.outcome && (0..columns).all(same)
                };
                match done.iter_mut().find(fits) {
                    Some(other) => other.sets[column].extend(&row.sets[column]),
                    None => done.push(row),
                }
                done
            });
        }
        if rows.len() == before {
            return rows;
        }
    }
}
