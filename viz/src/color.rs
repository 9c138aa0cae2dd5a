//! Colour maps: a number in [0, 1] to an sRGB colour.
//!
//! Sequential maps (viridis, magma, inferno, cividis, grey) are for data without sign, diverging maps
//! (blue-white-red, rdbu) for data with sign: their middle, exactly at 0.5, stands for zero. All but `jet` are
//! perceptually ordered and can be told apart by colour-blind readers; `jet` is offered by name only, for
//! comparison with older pictures, and no default uses it.
//! A number that is not a number is painted [`NOT_A_NUMBER`], which no map contains.

use crate::error::{Error, Result};

/// A colour: red, green, blue, 8 bits each, sRGB.
pub type Rgb = [u8; 3];

/// White.
pub const WHITE: Rgb = [255, 255, 255];
/// Black.
pub const BLACK: Rgb = [0, 0, 0];
/// The colour of text.
pub const INK: Rgb = [32, 32, 40];
/// The colour of secondary text, frames and ticks.
pub const FAINT: Rgb = [110, 110, 120];
/// The colour of values that are not a number.
pub const NOT_A_NUMBER: Rgb = [255, 0, 255];

/// Colours for kinds that have no order, told apart by colour-blind readers (Tol's muted scheme).
pub const KINDS: [Rgb; 9] = [
    [51, 34, 136],
    [136, 204, 238],
    [204, 102, 119],
    [221, 204, 119],
    [17, 119, 51],
    [136, 34, 85],
    [68, 170, 153],
    [153, 153, 51],
    [170, 68, 153],
];
/// The colour of kinds beyond those.
pub const OTHER_KIND: Rgb = [221, 221, 221];

/// Whether a map's colours run from low to high or from the middle outwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// From low to high: for data without sign.
    Sequential,
    /// From the middle outwards: for signed data, zero in the middle.
    Diverging,
}

/// A named colour map.
#[derive(Debug)]
pub struct ColorMap {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line of description.
    pub about: &'static str,
    /// Sequential or diverging.
    pub family: Family,
    paint: fn(f64) -> Rgb,
}

impl PartialEq for ColorMap {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl ColorMap {
    /// The colour at `t`; values outside [0, 1] take the end colours, NaN takes [`NOT_A_NUMBER`].
    pub fn at(&self, t: f32) -> Rgb {
        if t.is_nan() { NOT_A_NUMBER } else { (self.paint)(f64::from(t).clamp(0.0, 1.0)) }
    }
}

/// Default for signed data.
pub static BLUE_WHITE_RED: ColorMap = ColorMap {
    name: "blue-white-red",
    about: "signed: blue below, white at, red above zero; linear",
    family: Family::Diverging,
    paint: |t| {
        let fade = channel(1.0 - (2.0 * t - 1.0).abs());
        if t < 0.5 { [fade, fade, 255] } else { [255, fade, fade] }
    },
};
/// Sequential, made for colour-blind readers.
pub static CIVIDIS: ColorMap = ColorMap {
    name: "cividis",
    about: "unsigned: dark blue to yellow, made for colour-blind readers",
    family: Family::Sequential,
    paint: |t| colorous::CIVIDIS.eval_continuous(t).as_array(),
};
/// Black to white, linear.
pub static GREY: ColorMap = ColorMap {
    name: "grey",
    about: "unsigned: black to white, linear",
    family: Family::Sequential,
    paint: |t| [channel(t); 3],
};
/// Black to yellow by way of red.
pub static INFERNO: ColorMap = ColorMap {
    name: "inferno",
    about: "unsigned: black, purple, orange, pale yellow",
    family: Family::Sequential,
    paint: |t| colorous::INFERNO.eval_continuous(t).as_array(),
};
/// The old rainbow; only for comparison with older pictures.
pub static JET: ColorMap = ColorMap {
    name: "jet",
    about: "rainbow, misleading: its bright bands are not in the data; for comparison with older pictures only",
    family: Family::Sequential,
    paint: |t| {
        let hump = |centre: f64| channel(1.5 - (4.0 * t - centre).abs());
        [hump(3.0), hump(2.0), hump(1.0)]
    },
};
/// Black to pale yellow by way of magenta.
pub static MAGMA: ColorMap = ColorMap {
    name: "magma",
    about: "unsigned: black, purple, pink, pale yellow",
    family: Family::Sequential,
    paint: |t| colorous::MAGMA.eval_continuous(t).as_array(),
};
/// Diverging with muted ends.
pub static RDBU: ColorMap = ColorMap {
    name: "rdbu",
    about: "signed: dark blue below, near-white at, dark red above zero",
    family: Family::Diverging,
    paint: |t| colorous::RED_BLUE.eval_continuous(1.0 - t).as_array(),
};
/// Default for unsigned data.
pub static VIRIDIS: ColorMap = ColorMap {
    name: "viridis",
    about: "unsigned: dark purple, green, yellow",
    family: Family::Sequential,
    paint: |t| colorous::VIRIDIS.eval_continuous(t).as_array(),
};

/// All maps, by name.
pub static ALL: [&ColorMap; 8] = [&BLUE_WHITE_RED, &CIVIDIS, &GREY, &INFERNO, &JET, &MAGMA, &RDBU, &VIRIDIS];

/// The map of a name.
///
/// # Errors
/// An unknown name, with the nearest known one and the list.
pub fn by_name(name: &str) -> Result<&'static ColorMap> {
    let name = if name == "gray" { "grey" } else { name };
    ALL.into_iter()
        .find(|map| map.name == name)
        .ok_or_else(|| Error::unknown("colour map", name, ALL.iter().map(|map| map.name)))
}

/// A channel value in [0, 1] as 8 bits: `floor(255 v + 0.5)`.
pub fn channel(v: f64) -> u8 {
    (255.0 * v.clamp(0.0, 1.0) + 0.5).floor() as u8
}

/// Black or white, whichever is easier to read on a background.
pub fn readable_on(background: Rgb) -> Rgb {
    let [r, g, b] = background.map(f64::from);
    if 0.299 * r + 0.587 * g + 0.114 * b > 140.0 { BLACK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_follow_the_published_tables() {
        // Every fourth of the seventeen stops of matplotlib's tables.
        let tables: [(&ColorMap, [u32; 5]); 3] = [
            (&VIRIDIS, [0x440154, 0x3b528b, 0x21918c, 0x5ec962, 0xfde725]),
            (&MAGMA, [0x000004, 0x51127c, 0xb73779, 0xfc8961, 0xfcfdbf]),
            (&INFERNO, [0x000004, 0x57106e, 0xbc3754, 0xf98e09, 0xfcffa4]),
        ];
        for (map, stops) in tables {
            for (i, stop) in stops.into_iter().enumerate() {
                let [_, want @ ..] = stop.to_be_bytes();
                for (got, want) in map.at(i as f32 / 4.0).into_iter().zip(want) {
                    assert!(got.abs_diff(want) <= 4, "{} {i}: {got} {want}", map.name);
                }
            }
        }
    }

    #[test]
    fn the_middle_of_a_diverging_map_is_neutral_and_the_ends_are_opposite() {
        assert_eq!(BLUE_WHITE_RED.at(0.5), WHITE);
        assert_eq!([BLUE_WHITE_RED.at(0.0), BLUE_WHITE_RED.at(1.0)], [[0, 0, 255], [255, 0, 0]]);
        for map in ALL.into_iter().filter(|m| m.family == Family::Diverging) {
            let [r, g, b] = map.at(0.5);
            assert!(r.min(g).min(b) > 235, "{} {r} {g} {b}", map.name);
            assert!(map.at(0.0)[2] > map.at(0.0)[0] && map.at(1.0)[0] > map.at(1.0)[2]);
        }
    }

    #[test]
    fn nan_and_values_out_of_range_have_a_colour() {
        for map in ALL {
            assert_eq!(map.at(f32::NAN), NOT_A_NUMBER);
            assert_eq!(map.at(f32::INFINITY), map.at(1.0));
            assert_eq!(map.at(-3.0), map.at(0.0));
            assert!((0..=1000).all(|i| map.at(i as f32 / 1000.0) != NOT_A_NUMBER), "{}", map.name);
        }
    }

    #[test]
    fn names_are_sorted_found_and_suggested() {
        assert!(ALL.is_sorted_by_key(|m| m.name));
        assert_eq!(by_name("gray").unwrap().name, "grey");
        let text = by_name("virids").unwrap_err().to_string();
        assert!(text.contains("did you mean \"viridis\"?"), "{text}");
    }
}
