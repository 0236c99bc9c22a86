//! Tables for people: columns that line up, without lines between them.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// The rows as lines, each indented by two spaces. `numbers`: from this column on, cells are aligned to the right.
pub fn table(rows: &[Vec<String>], numbers: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().fold(String::new(), |text, line| text + format!("  {line}").trim_end() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["", "objects", "gone"], ["urr", "1,204", "0"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, 1), "       objects  gone\n  urr    1,204     0\n");
    }
}
