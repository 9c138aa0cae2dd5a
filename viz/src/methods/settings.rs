//! Options of a method, `--set key=value`: an unknown key is an error that lists the known ones, a bad value one
//! that says what to write.

use super::{Error, Method, Result};
use std::ops::RangeInclusive;

/// An option of a method.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default, as written.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// The options of one call of a method.
#[derive(Clone, Debug)]
pub struct Settings {
    keys: &'static [Key],
    given: Vec<(&'static str, String)>,
}

impl Settings {
    /// The method's defaults.
    pub fn defaults(method: &Method) -> Self {
        Self { keys: method.keys, given: Vec::new() }
    }

    /// The method's defaults, changed by `key=value` texts. Errors: a text without `=`, an unknown key, a key given
    /// twice.
    pub fn parse<S: AsRef<str>>(method: &Method, pairs: &[S]) -> Result<Self> {
        Self::read(&format!("method \"{}\"", method.name), method.keys, pairs)
    }

    /// Defaults of `keys`, changed by `key=value` texts; `owner` is whose options they are, for messages.
    pub(crate) fn read<S: AsRef<str>>(owner: &str, keys: &'static [Key], pairs: &[S]) -> Result<Self> {
        let mut out = Self { keys, given: Vec::new() };
        for pair in pairs {
            let pair = pair.as_ref();
            let Some((key, value)) = pair.split_once('=') else {
                return Err(Error::request(format!("`--set {pair}` sets nothing"), "write --set key=value"));
            };
            out.set(owner, key.trim(), value.trim())?;
        }
        Ok(out)
    }

    fn set(&mut self, owner: &str, key: &str, value: &str) -> Result<()> {
        let Some(known) = self.keys.iter().find(|k| k.name == key) else {
            if self.keys.is_empty() {
                let problem = format!("{owner} has no options, so no \"{key}\"");
                return Err(Error::request(problem, "leave it out"));
            }
            let names = self.keys.iter().map(|k| k.name);
            return Err(Error::unknown(&format!("option of {owner}"), key, names));
        };
        if self.given.iter().any(|(k, _)| *k == known.name) {
            return Err(Error::request(format!("option \"{key}\" is given twice"), "give it once"));
        }
        self.given.push((known.name, value.to_string()));
        Ok(())
    }

    /// Every option with the value in force, in the method's order.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.keys.iter().map(|key| (key.name, self.text(key.name)))
    }

    /// Whether an option was set, be it to its default.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given.iter().any(|(k, _)| *k == key)
    }

    /// An option as written. Panics for a key that the method does not declare: that is a mistake in the method.
    pub(crate) fn text(&self, key: &'static str) -> &str {
        let given = self.given.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
        given.unwrap_or_else(|| {
            let declared = self.keys.iter().find(|k| k.name == key);
            declared.unwrap_or_else(|| unreachable!("a method declares \"{key}\" before it reads it")).default
        })
    }

    /// A value that cannot be used, with what to write.
    pub(crate) fn wrong<T>(&self, key: &'static str, want: &str) -> Result<T> {
        Err(Error::request(format!("{key}={} cannot be used", self.text(key)), format!("write {want}")))
    }

    /// A number in a range.
    pub(crate) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Result<f64> {
        match self.text(key).parse::<f64>() {
            Ok(v) if range.contains(&v) => Ok(v),
            _ if range.end().is_finite() => {
                self.wrong(key, &format!("a number from {} to {}", range.start(), range.end()))
            }
            _ if range.start().is_finite() => {
                self.wrong(key, &format!("a number of at least {}", range.start()))
            }
            _ => self.wrong(key, "a number"),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn count(&self, key: &'static str, least: usize) -> Result<usize> {
        match self.text(key).parse::<usize>() {
            Ok(v) if v >= least && v <= 1 << 24 => Ok(v),
            _ => self.wrong(key, &format!("a whole number from {least} to {}", 1 << 24)),
        }
    }

    /// A seed.
    pub(crate) fn seed(&self) -> Result<u64> {
        match self.text("seed").parse::<u64>() {
            Ok(v) => Ok(v),
            Err(_) => self.wrong("seed", "a whole number from 0 to 18446744073709551615"),
        }
    }

    /// true or false.
    pub(crate) fn flag(&self, key: &'static str) -> Result<bool> {
        match self.text(key) {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => self.wrong(key, "true or false"),
        }
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Result<T> {
        let text = self.text(key);
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => Err(Error::unknown(&format!("value of {key}"), text, words.iter().map(|(w, _)| *w))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{METHODS, named};
    use super::*;

    #[test]
    fn unknown_keys_and_bad_values_say_what_to_write() {
        let method = named("deconvnet").unwrap();
        let text = Settings::parse(method, &["overlop=sum"]).unwrap_err().to_string();
        assert!(text.contains("did you mean \"overlap\"?"), "{text}");
        let text = Settings::parse(method, &["overlap"]).unwrap_err().to_string();
        assert!(text.contains("key=value"), "{text}");
        let settings = Settings::parse(method, &["overlap=summ"]).unwrap();
        let text =
            settings.choice("overlap", &[("last", 0), ("max", 1), ("sum", 2)]).unwrap_err().to_string();
        assert!(text.contains("did you mean \"sum\"?"), "{text}");
        let text = Settings::parse(method, &["overlap=sum", "overlap=max"]).unwrap_err().to_string();
        assert!(text.contains("twice"), "{text}");
    }

    #[test]
    fn every_key_has_a_default_and_a_help() {
        for method in METHODS {
            for key in method.keys {
                assert!(!key.default.is_empty() && !key.help.is_empty(), "{} {}", method.name, key.name);
            }
        }
    }
}
