//! Numbers as they are printed on pictures: three significant digits, no needless zeros, never wider than 9 characters.

/// A value with `digits` significant digits: `0.123`, `12.3`, `1.23e-5`; `nan`, `inf` and `-inf` by name.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan".into()
        } else if value > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    if value == 0.0 {
        return "0".into();
    }
    // The exponent is read off after rounding, so that 9.999 counts as 10.
    let rounded = format!("{:.*e}", digits.saturating_sub(1), value);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-3..6).contains(&exponent) {
        return format!("{}e{exponent}", trim(mantissa));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trim(&format!("{value:.decimals$}")).to_string()
}

/// A value with three significant digits.
pub fn short(value: f64) -> String {
    significant(value, 3)
}

/// A share in per cent: `97.5 %`; values that are not quite 0 or 100 % are never printed as if they were.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    let text = match text.as_str() {
        "100.0" if share < 1.0 => "99.9".to_string(),
        "0.0" if share > 0.0 => "0.1".to_string(),
        _ => text,
    };
    format!("{} %", trim(&text))
}

/// A share in whole per cent, where room is short: `97 %`, `<1 %`; never 100 % for less.
pub fn whole_percent(share: f64) -> String {
    match (share * 100.0).round() {
        _ if share > 0.0 && share < 0.01 => "<1 %".to_string(),
        100.0 if share < 1.0 => "99 %".to_string(),
        whole => format!("{whole} %"),
    }
}

/// A count with thin groups of three digits: `1,199,882`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Evenly spaced round tick values inside `[lo, hi]`, about `wanted` of them (steps of 1, 2 or 5 times a power of ten).
pub fn ticks(lo: f64, hi: f64, wanted: usize) -> Vec<f64> {
    let span = hi - lo;
    if !(span.is_finite() && span > 0.0) || wanted == 0 {
        return vec![lo];
    }
    let rough = span / wanted as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough * 0.999).unwrap_or(10.0) * power;
    let first = (lo / step - 1e-9).ceil() as i64;
    let last = (hi / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_honest() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-0.12345, "-0.123"),
            (9.999, "10"),
            (123456.0, "123456"),
            (1234567.0, "1.23e6"),
            (0.00001234, "1.23e-5"),
            (0.00123, "0.00123"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!([percent(0.9999), percent(0.0001), percent(1.0)], ["99.9 %", "0.1 %", "100 %"]);
        let whole = [0.0, 0.0001, 0.034, 0.9999, 1.0].map(whole_percent);
        assert_eq!(whole, ["0 %", "<1 %", "3 %", "99 %", "100 %"]);
        assert_eq!([count(7), count(1199882), count(100000)], ["7", "1,199,882", "100,000"]);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(1.0, 12.0, 6), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(ticks(3.0, 3.0, 5), [3.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 5).len(), 1);
    }
}
