//! What commands print on stdout. Messages for people go to stderr.

use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::Value;

/// One line, or several at once.
///
/// # Errors
/// When stdout can't take it; a closed pipe is none.
pub fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    forgive_closed_pipe(stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush()))
}

/// A value as indented JSON.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Rows under their headings, in aligned columns.
///
/// # Errors
/// As [`line`].
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    line(&aligned(headings, rows))
}

/// The fields of an object that say something, one a line.
///
/// # Errors
/// As [`line`].
pub fn fields(object: &Value) -> io::Result<()> {
    let known = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let rows: Vec<_> = known.map(|(name, value)| [name.clone(), text(value)]).collect();
    table(["FIELD", "VALUE"], &rows)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn aligned<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let mut widths = [0; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = all().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["päron".to_owned(), "1".to_owned()], ["x".to_owned(), String::new()]];
        assert_eq!(aligned(["NAME", "COUNT"], &rows), "NAME   COUNT\npäron  1\nx");
    }
}
