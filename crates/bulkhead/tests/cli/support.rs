//! A folder per test, the binary in it, and what it said.

use std::path::PathBuf;
use std::process::{Command, Output};

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;

/// A folder that is emptied when it is made, named after its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("the last run's folder can go");
        }
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("the file is there")
    }

    /// Runs the binary here, with these variables and no others.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Said {
        let mut command = Command::cargo_bin("bulkhead").expect("the binary was built");
        command.current_dir(&self.0).env_clear().envs(variables.iter().copied()).args(args);
        Said::of(args, &command.output().expect("it runs"))
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_with(&[], args)
    }

    /// What it printed, after it ended well.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        self.run(args).ended(0).stdout.trim_end().to_owned()
    }
}

/// What a run said and how it ended.
pub(crate) struct Said {
    args: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn of(args: &[&str], output: &Output) -> Self {
        Said {
            args: args.join(" "),
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout.clone()).expect("text"),
            stderr: String::from_utf8(output.stderr.clone()).expect("text"),
        }
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "bulkhead {}\n{}\n{}", self.args, self.stdout, self.stderr);
        self
    }

    /// Ended so, and said this on standard error.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, part: &str) -> Self {
        let said = self.ended(code);
        assert!(said.stderr.contains(part), "bulkhead {}: {part:?} is not in {:?}", said.args, said.stderr);
        said
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}
