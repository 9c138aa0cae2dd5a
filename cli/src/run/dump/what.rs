//! What can be dumped, by name.

use crate::error::Result;

/// The names, and what each is.
pub const KINDS: [(&str, &str); 8] = [
    ("deconvnet", "the class, and some channels of every rectified layer of maps, projected to pixels"),
    ("grad-cam", "where in the image the class's evidence lies"),
    ("gradients", "the loss's gradient by every activation and every kernel, of the probe images"),
    ("histograms", "how weights, activations and, with gradients, gradients are distributed"),
    ("kernels", "the weights of every convolution"),
    ("maps", "every activation"),
    ("saliency", "how strongly each pixel moves the class"),
    ("switches", "which cells every pool took"),
];

/// A choice of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct What(u16);

impl What {
    /// By name; "all" is all of them. Errors: an unknown name, with the nearest spelling.
    pub fn parse(names: &[String]) -> Result<Self> {
        let mut what = Self::default();
        for name in names {
            let at = KINDS.iter().position(|(n, _)| n == name);
            what.0 |= match (at, name.as_str()) {
                (Some(at), _) => 1 << at,
                (None, "all") => (1 << KINDS.len()) - 1,
                (None, other) => {
                    let known = KINDS.iter().map(|(n, _)| *n).chain(["all"]);
                    return Err(glassbox_engine::Error::unknown("kind of dump", other, known).into());
                }
            };
        }
        Ok(what)
    }

    /// Whether a kind is among them.
    pub fn has(self, name: &str) -> bool {
        KINDS.iter().position(|(n, _)| *n == name).is_some_and(|at| self.0 & 1 << at != 0)
    }

    /// Whether there is nothing to dump.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_name() {
        let of = |names: &[&str]| What::parse(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
        let what = of(&["maps", "switches"]).unwrap();
        assert!(what.has("maps") && what.has("switches") && !what.has("kernels"));
        assert!(KINDS.iter().all(|(name, _)| of(&["all"]).unwrap().has(name)));
        assert!(of(&[]).unwrap().is_empty());
        let text = of(&["map"]).unwrap_err().to_string();
        assert!(text.contains("did you mean \"maps\"?"), "{text}");
    }
}
