//! The one error type of the engine. Every message names the layer, key or file, the numbers, and the cure.

use std::path::{Path, PathBuf};

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer whose options, shapes or inputs do not fit together.
    #[error("layer \"{layer}\": {problem}; {cure}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// What does not fit, with the numbers.
        problem: String,
        /// What to change.
        cure: String,
    },
    /// A model or configuration text that cannot be understood.
    #[error("{file}:{line}: {problem}; {cure}")]
    Text {
        /// File, or a description of where the text came from.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to change.
        cure: String,
    },
    /// A request that cannot be carried out: an unknown name, a value out of range.
    #[error("{problem}; {cure}")]
    Request {
        /// What was asked, and why it cannot be.
        problem: String,
        /// What would work.
        cure: String,
    },
    /// A file or data set that is not there.
    #[error("{problem}; {cure}")]
    Missing {
        /// What was looked for, and where.
        problem: String,
        /// How to get it.
        cure: String,
    },
    /// A file whose bytes are not what they claim to be.
    #[error("{}: {place}: {problem}; {cure}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it (a byte offset, a key, an array).
        place: String,
        /// What is wrong, with the numbers.
        problem: String,
        /// What to do.
        cure: String,
    },
    /// Reading or writing failed.
    #[error("{}: cannot {action}: {source}{}", file.display(), remedy(source))]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A value that is not finite appeared while training.
    #[error("step {step}: {what} of \"{name}\" is not finite; {cure}")]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// "activation", "gradient", "parameter" or "loss".
        what: &'static str,
        /// Layer or parameter.
        name: String,
        /// What to try.
        cure: String,
    },
}

/// Result with the engine's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A layer that does not fit.
    pub fn layer(layer: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Layer { layer: layer.into(), problem: problem.into(), cure: cure.into() }
    }

    /// A request that cannot be carried out.
    pub fn request(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Request { problem: problem.into(), cure: cure.into() }
    }

    /// Something that is not there.
    pub fn missing(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Missing { problem: problem.into(), cure: cure.into() }
    }

    /// Bytes that are not what they claim to be.
    pub fn corrupt(
        file: impl AsRef<Path>,
        place: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            file: file.as_ref().to_path_buf(),
            place: place.into(),
            problem: problem.into(),
            cure: cure.into(),
        }
    }

    /// A failed read or write.
    pub fn io(file: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { file: file.as_ref().to_path_buf(), action, source }
    }

    /// An unknown name: the request names the nearest known one, and lists them all.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        Self::request(format!("unknown {what} \"{name}\""), suggest(name, &known))
    }

    /// The exit code of a program that ends with this error: 2 usage, 3 diverged, 4 corrupt input, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Request { .. } | Self::Text { .. } | Self::Layer { .. } => 2,
            Self::Diverged { .. } => 3,
            Self::Corrupt { .. } => 4,
            Self::Missing { .. } | Self::Io { .. } => 1,
        }
    }
}

/// What to do about a file that cannot be read or written, where the system's reason tells.
fn remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match source.kind() {
        NotFound => "; check the spelling of the path",
        PermissionDenied => "; check who may read and write there, or choose another place",
        ReadOnlyFilesystem => "; choose a place that can be written to",
        StorageFull | QuotaExceeded => "; make room; files written before are whole",
        _ => "",
    }
}

/// The known name nearest to `name` in spelling, if any is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let score = |k: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase());
    let best = known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) >= 0.5).then_some(best)
}

/// A cure for an unknown name: the nearest spelling, then all the known names.
pub fn suggest(name: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match nearest(name, known) {
        Some(near) => format!("did you mean \"{near}\"? known: {list}"),
        None => format!("known: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_calls_tell_what_to_do() {
        // the numbers of Linux: no space left, read-only file system, no such file, an error of the device
        for (number, cure) in [(28, "make room"), (30, "can be written to"), (2, "spelling"), (5, "error 5)")]
        {
            let error = Error::io("runs/a", "write the file", std::io::Error::from_raw_os_error(number));
            assert!(cfg!(not(target_os = "linux")) || error.to_string().contains(cure), "{error}");
        }
    }

    #[test]
    fn nearest_spelling_is_offered_only_when_near() {
        assert_eq!(nearest("maxpol", &["maxpool", "avgpool"]), Some("maxpool"));
        assert_eq!(nearest("Kernel", &["kernel", "stride"]), Some("kernel"));
        assert_eq!(nearest("zzz", &["kernel", "stride"]), None);
        let text = Error::unknown("layer kind", "relo", ["relu", "conv"]).to_string();
        assert_eq!(text, "unknown layer kind \"relo\"; did you mean \"relu\"? known: relu, conv");
    }
}
