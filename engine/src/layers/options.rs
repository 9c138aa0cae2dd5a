//! Keys and values of a layer in a model text, without the text's own syntax.

use crate::error::suggest;
use crate::window::Window;

/// A value as written in a model text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A list of whole numbers: [h, w], or [top, left, bottom, right] for padding.
    Ints(Vec<i64>),
    /// Anything else, as written.
    Other(String),
}

impl Value {
    /// One number where both are equal, else a pair.
    pub fn pair(pair: [usize; 2]) -> Self {
        if pair[0] == pair[1] {
            Self::Int(pair[0] as i64)
        } else {
            Self::Ints(pair.map(|v| v as i64).to_vec())
        }
    }
}

/// A key that is missing, unknown, or has a value that it cannot take.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionError {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

impl OptionError {
    /// An error about a key.
    pub fn new(key: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), cure: cure.into() }
    }
}

/// The largest whole number that a key takes: no net needs more, and what shapes are worked out from such numbers cannot
/// overflow.
const MOST: i64 = 1 << 20;

/// The keys of one layer; each is taken once, and what is left over is unknown.
#[derive(Clone, Debug, Default)]
pub struct Options {
    left: Vec<(String, Value)>,
    asked: Vec<&'static str>,
}

impl Options {
    /// Keys with their values.
    pub fn new(entries: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { left: entries.into_iter().collect(), asked: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        let at = self.left.iter().position(|(k, _)| k == key)?;
        Some(self.left.remove(at).1)
    }

    /// A positive whole number that must be given.
    pub fn size(&mut self, key: &'static str) -> Result<usize, OptionError> {
        match self.take(key) {
            Some(Value::Int(v)) if (1..=MOST).contains(&v) => Ok(v as usize),
            None => Err(OptionError::new(
                key,
                format!("key \"{key}\" is missing"),
                format!("add `{key} = 8`, say"),
            )),
            Some(other) => Err(wrong(key, &other, &format!("a whole number from 1 to {MOST}"))),
        }
    }

    /// A positive whole number.
    pub fn size_or(&mut self, key: &'static str, default: usize) -> Result<usize, OptionError> {
        if self.has(key) { self.size(key) } else { self.skip(key, default) }
    }

    /// A number or [h, w], each from `least` to [`MOST`], that must be given.
    pub fn pair(&mut self, key: &'static str, least: i64) -> Result<[usize; 2], OptionError> {
        let fits = |v: i64| (least..=MOST).contains(&v);
        match self.take(key) {
            Some(Value::Int(v)) if fits(v) => Ok([v as usize; 2]),
            Some(Value::Ints(v)) if v.len() == 2 && v.iter().all(|&v| fits(v)) => {
                Ok([v[0] as usize, v[1] as usize])
            }
            None => Err(OptionError::new(
                key,
                format!("key \"{key}\" is missing"),
                format!("add `{key} = 3`, say"),
            )),
            Some(other) => {
                Err(wrong(key, &other, &format!("a whole number from {least} to {MOST}, or [h, w] of such")))
            }
        }
    }

    /// A number or [h, w].
    pub fn pair_or(
        &mut self,
        key: &'static str,
        least: i64,
        default: [usize; 2],
    ) -> Result<[usize; 2], OptionError> {
        if self.has(key) { self.pair(key, least) } else { self.skip(key, default) }
    }

    /// Padding: a number, [h, w], or [top, left, bottom, right]; (before, after).
    pub fn pad(&mut self) -> Result<([usize; 2], [usize; 2]), OptionError> {
        const KEY: &str = "pad";
        if let Some((_, Value::Ints(v))) = self.left.iter().find(|(k, _)| k == KEY)
            && let [top, left, bottom, right] = v[..]
            && v.iter().all(|v| (0..=MOST).contains(v))
        {
            self.take(KEY);
            return Ok(([top as usize, left as usize], [bottom as usize, right as usize]));
        }
        let pad = self.pair_or(KEY, 0, [0; 2])?;
        Ok((pad, pad))
    }

    /// A number.
    pub fn float_or(&mut self, key: &'static str, default: f64) -> Result<f64, OptionError> {
        match self.take(key) {
            None => Ok(default),
            Some(Value::Float(v)) if v.is_finite() => Ok(v),
            Some(Value::Int(v)) => Ok(v as f64),
            Some(other) => Err(wrong(key, &other, "a number")),
        }
    }

    /// true or false.
    pub fn bool_or(&mut self, key: &'static str, default: bool) -> Result<bool, OptionError> {
        match self.take(key) {
            None => Ok(default),
            Some(Value::Bool(v)) => Ok(v),
            Some(other) => Err(wrong(key, &other, "true or false")),
        }
    }

    /// The first key that nobody asked for, as an error with the nearest spelling.
    pub fn finish(self) -> Result<(), OptionError> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) if self.asked.is_empty() => Err(OptionError::new(
                key,
                format!("unknown key \"{key}\""),
                "this kind has no keys; remove it",
            )),
            Some((key, _)) => {
                Err(OptionError::new(key, format!("unknown key \"{key}\""), suggest(key, &self.asked)))
            }
        }
    }

    fn has(&self, key: &str) -> bool {
        self.left.iter().any(|(k, _)| k == key)
    }

    fn skip<T>(&mut self, key: &'static str, default: T) -> Result<T, OptionError> {
        self.asked.push(key);
        Ok(default)
    }
}

fn wrong(key: &str, value: &Value, want: &str) -> OptionError {
    let shown = match value {
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Ints(v) => format!("{v:?}"),
        Value::Other(v) => v.clone(),
    };
    OptionError::new(key, format!("key \"{key}\" cannot be {shown}"), format!("write {want}"))
}

/// The padding of a window as a value: a number, [h, w], or all four sides.
pub(super) fn pad_value(window: &Window) -> Value {
    if window.pad == window.pad_end {
        return Value::pair(window.pad);
    }
    Value::Ints([window.pad, window.pad_end].concat().iter().map(|&v| v as i64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(entries: &[(&str, Value)]) -> Options {
        Options::new(entries.iter().map(|(k, v)| (k.to_string(), v.clone())))
    }

    #[test]
    fn values_of_the_wrong_kind_say_what_to_write() {
        let e = options(&[("out", Value::Int(0))]).size("out").unwrap_err();
        assert_eq!(
            (e.problem.as_str(), e.cure.as_str()),
            ("key \"out\" cannot be 0", "write a whole number from 1 to 1048576")
        );
        let e = options(&[("kernel", Value::Ints(vec![1, 2, 3]))]).pair("kernel", 1).unwrap_err();
        assert!(e.problem.contains("[1, 2, 3]"), "{e:?}");
        let e = options(&[]).size("out").unwrap_err();
        assert!(e.problem.contains("missing"), "{e:?}");
    }

    #[test]
    fn leftovers_are_unknown_keys() {
        let mut o = options(&[("kernel", Value::Int(3)), ("strid", Value::Int(3))]);
        o.pair("kernel", 1).unwrap();
        o.pair_or("stride", 1, [1; 2]).unwrap();
        assert!(o.finish().unwrap_err().cure.contains("did you mean \"stride\"?"));
    }

    #[test]
    fn pads_may_differ_on_all_sides() {
        let mut o = options(&[("pad", Value::Ints(vec![0, 1, 2, 3]))]);
        assert_eq!(o.pad().unwrap(), ([0, 1], [2, 3]));
        assert_eq!(options(&[("pad", Value::Int(2))]).pad().unwrap(), ([2, 2], [2, 2]));
    }
}
