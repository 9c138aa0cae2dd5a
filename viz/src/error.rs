//! The error type of pictures and methods: the engine's own errors, and requests that no picture can answer.

use glassbox_engine::error::suggest;

/// What can go wrong when a method runs or a picture is drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the engine, passed on as it is.
    #[error(transparent)]
    Engine(#[from] glassbox_engine::Error),
    /// A request that cannot be carried out: an unknown name, a value out of range.
    #[error("{problem}; {cure}")]
    Request {
        /// What was asked, and why it cannot be.
        problem: String,
        /// What would work.
        cure: String,
    },
    /// Arrays whose shapes do not fit the picture.
    #[error("{what}: {problem}; {cure}")]
    Shape {
        /// The array or the picture.
        what: String,
        /// What does not fit, with the numbers.
        problem: String,
        /// What would fit.
        cure: String,
    },
    /// The PNG encoder failed.
    #[error("cannot encode a picture of {width}x{height} pixels: {reason}; draw fewer or smaller tiles")]
    Encode {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// What the encoder said.
        reason: String,
    },
}

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A request that cannot be carried out.
    pub fn request(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Request { problem: problem.into(), cure: cure.into() }
    }

    /// Arrays that do not fit the picture.
    pub fn shape(what: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Shape { what: what.into(), problem: problem.into(), cure: cure.into() }
    }

    /// An unknown name: the message holds the nearest known spelling, and the list.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        Self::request(format!("unknown {what} \"{name}\""), suggest(name, &known))
    }

    /// The exit code of a program that ends with this error: the engine's own, 2 for a request, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(error) => error.exit_code(),
            Self::Request { .. } | Self::Shape { .. } => 2,
            Self::Encode { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_message_and_exit_code_pass_through() {
        let inner = glassbox_engine::Error::corrupt("a.npy", "byte 6", "version 9", "save it again");
        let text = inner.to_string();
        let outer = Error::from(inner);
        assert_eq!((outer.to_string(), outer.exit_code()), (text, 4));
        assert_eq!(Error::request("no class 12", "use 0 to 9").to_string(), "no class 12; use 0 to 9");
        assert_eq!(Error::request("", "").exit_code(), 2);
    }
}
