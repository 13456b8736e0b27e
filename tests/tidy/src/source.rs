//! Reads Rust sources just well enough to measure them: lines of files and of functions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One Rust file.
#[derive(Debug)]
pub struct SourceFile {
    /// Its path below the workspace root.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// One function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line it starts on, from 1.
    pub line: usize,
    /// How many lines it spans, signature and closing brace included.
    pub lines: usize,
}

/// Every Rust file below the folders of our own code.
///
/// # Errors
/// When a folder or file cannot be read.
pub fn rust_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests", "bench"].iter().map(|f| root.join(f)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                if !matches!(name, "target" | "node_modules") && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                files.push(SourceFile { path: path.strip_prefix(root).unwrap_or(&path).to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The functions of a file that rustfmt has formatted: a function ends at the first `}` indented as its `fn` line is.
#[must_use]
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = function_name(trimmed) else { continue };
        let indent = line.len() - trimmed.len();
        if line.trim_end().ends_with(';') {
            continue;
        }
        let closes = |l: &&str| l.len() > indent && l[..indent].trim().is_empty() && l[indent..].starts_with('}');
        let one_line = line.trim_end().ends_with('}') && line.contains('{');
        let length = if one_line { 1 } else { 1 + lines[at + 1..].iter().take_while(|l| !closes(l)).count() + 1 };
        found.push(Function { name: name.to_owned(), line: at + 1, lines: length });
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_to_its_closing_brace() {
        let text = "fn a() {\n    if x {\n    }\n}\n\nimpl B {\n    pub async fn c(\n        d: E,\n    ) -> F {\n        g()\n    }\n}\n";
        let found: Vec<_> = functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("a".to_owned(), 1, 4), ("c".to_owned(), 7, 5)]);
    }
}
