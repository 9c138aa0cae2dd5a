//! The built-in bitmap font: printable ASCII, 5 pixels wide, 7 tall and 2 below the base line.
//!
//! No font file is needed to draw a picture, so the same bytes come out on every machine and in a browser.
//! Size 1 shows the glyphs as drawn; size 2 doubles them with the corners rounded (each doubled corner takes the
//! colour of its two neighbours where these agree and the opposite ones do not), larger sizes are whole blocks.
//! Characters outside ASCII have a spelling (`x` for the times sign) or show as an empty box.

/// Width of a glyph, in pixels at size 1.
pub const WIDTH: usize = 5;
/// Height of a glyph with the part below the base line, in pixels at size 1.
pub const HEIGHT: usize = 9;
/// Distance from one glyph to the next, in pixels at size 1.
pub const ADVANCE: usize = 6;
/// Distance from one line of text to the next, in pixels at size 1.
pub const LINE: usize = 10;

// Six bands of sixteen glyphs, from space to tilde; the last one is the box for what the font lacks.
#[rustfmt::skip]
const SHEET: [[&str; HEIGHT]; 6] = [
    [
        "        #    # #   # #    #   ##  #  ##     #      #   #                                      #",
        "        #    # #   # #   #### ##  # #  #    #     #     #     #     #                         #",
        "        #    # #  ##### # #      #  #  #    #    #       #  # # #   #                        # ",
        "        #          # #   ###    #    ##          #       #   ###  #####        ###          #  ",
        "        #         #####   # #  #    #  ##        #       #  # # #   #                      #   ",
        "                   # #  ####  #  ## #  #          #     #     #     #     ##         ##   #    ",
        "        #          # #    #   #  ##  ## #          #   #                  #          ##   #    ",
        "                                                                         #                     ",
        "                                                                                               ",
    ],
    [
        " ###    #    ###   ###     #  #####   ##  #####  ###   ###                                 ### ",
        "#   #  ##   #   # #   #   ##  #      #        # #   # #   #  ##    ##      ##       ##    #   #",
        "#  ##   #       #     #  # #  ####  #        #  #   # #   #  ##    ##    ##   #####   ##      #",
        "# # #   #      #    ##  #  #      # ####     #   ###   ####             #               #    # ",
        "##  #   #     #       # #####     # #   #   #   #   #     #  ##    ##    ##   #####   ##    #  ",
        "#   #   #    #    #   #    #  #   # #   #   #   #   #    #   ##    ##      ##       ##         ",
        " ###   ###  #####  ###     #   ###   ###    #    ###   ##           #                       #  ",
        "                                                                   #                           ",
        "                                                                                               ",
    ],
    [
        " ###   ###  ####   ###  ####  ##### #####  ###  #   #  ###    ### #   # #     #   # #   #  ### ",
        "#   # #   # #   # #   # #   # #     #     #   # #   #   #      #  #  #  #     ## ## ##  # #   #",
        "# ### #   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # # ##  # #   #",
        "# # # ##### ####  #     #   # ####  ####  # ### #####   #      #  ##    #     # # # # # # #   #",
        "# ### #   # #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   # #  ## #   #",
        "#     #   # #   # #   # #   # #     #     #   # #   #   #   #  #  #  #  #     #   # #  ## #   #",
        " ###  #   # ####   ###  ####  ##### #      ###  #   #  ###   ##   #   # ##### #   # #   #  ### ",
        "                                                                                               ",
        "                                                                                               ",
    ],
    [
        "####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####  ###  #      ###    #        ",
        "#   # #   # #   # #       #   #   # #   # #   # #   # #   #     #  #    #        #   # #       ",
        "#   # #   # #   # #       #   #   # #   # #   #  # #   # #     #   #     #       #  #   #      ",
        "####  #   # ####   ###    #   #   # #   # # # #   #     #     #    #      #      #             ",
        "#     # # # # #       #   #   #   #  # #  # # #  # #    #    #     #       #     #             ",
        "#     #  #  #  #      #   #   #   #  # #  ## ## #   #   #   #      #        #    #             ",
        "#      ## # #   # ####    #    ###    #   #   # #   #   #   #####  ###      #  ###             ",
        "                                                                                          #####",
        "                                                                                               ",
    ],
    [
        " #          #               #         ##        #       #      #  #      ##                    ",
        "  #         #               #        #          #                 #       #                    ",
        "       ###  ####   ####  ####  ###   #     #### ####   ##     ##  #  #    #   ## #  ####   ### ",
        "          # #   # #     #   # #   # ####  #   # #   #   #      #  # #     #   # # # #   # #   #",
        "       #### #   # #     #   # #####  #    #   # #   #   #      #  ##      #   # # # #   # #   #",
        "      #   # #   # #     #   # #      #    #   # #   #   #      #  # #     #   # # # #   # #   #",
        "       #### ####   ####  ####  ####  #     #### #   #  ###     #  #  #   ###  # # # #   #  ### ",
        "                                              #             #  #                               ",
        "                                           ###               ##                                ",
    ],
    [
        "                         #                                           ##   #   ##          #####",
        "                         #                                          #     #     #         #   #",
        "####   #### # ##   #### ####  #   # #   # #   # #   # #   # #####   #     #     #    ## # #   #",
        "#   # #   # ##  # #      #    #   # #   # # # #  # #  #   #    #   #      #      #  #  #  #   #",
        "#   # #   # #      ###   #    #   #  # #  # # #   #   #   #   #     #     #     #         #   #",
        "#   # #   # #         #  #  # #   #  # #  # # #  # #  #   #  #      #     #     #         #   #",
        "####   #### #     ####    ##   ####   #    # #  #   #  #### #####    ##   #   ##          #####",
        "#         #                                               #                                    ",
        "#         #                                            ###                                     ",
    ],
];

/// Width in pixels of a line of text at a size (the gap after the last glyph not counted).
pub fn text_width(text: &str, size: usize) -> usize {
    let glyphs = spell(text).chars().count();
    (glyphs * ADVANCE * size).saturating_sub(size)
}

/// The text with characters that the font lacks spelled in ASCII where there is a usual spelling.
pub fn spell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{d7}' => out.push('x'),
            '\u{2212}' | '\u{2010}'..='\u{2015}' => out.push('-'),
            '\u{b7}' | '\u{2022}' => out.push('*'),
            '\u{b1}' => out.push_str("+-"),
            '\u{2192}' => out.push_str("->"),
            '\u{2018}' | '\u{2019}' => out.push('\''),
            '\u{201c}' | '\u{201d}' => out.push('"'),
            '\u{2026}' => out.push_str("..."),
            c => out.push(c),
        }
    }
    out
}

/// The text cut to at most `width` pixels at a size, with `..` where something was left out.
pub fn fit(text: &str, size: usize, width: usize) -> String {
    let text = spell(text);
    if text_width(&text, size) <= width {
        return text;
    }
    let room = (width + size) / (ADVANCE * size).max(1);
    let kept: String = text.chars().take(room.saturating_sub(2)).collect();
    if room < 3 { text.chars().take(room).collect() } else { format!("{}..", kept.trim_end()) }
}

/// The text broken at spaces into lines of at most `width` pixels; a longer word is broken behind a hyphen, or where
/// the line ends.
pub fn wrap(text: &str, size: usize, width: usize) -> Vec<String> {
    let room = ((width + size) / (ADVANCE * size).max(1)).max(1);
    let mut lines = vec![String::new()];
    for word in spell(text).split_whitespace() {
        let last = lines.len() - 1;
        let longer =
            if lines[last].is_empty() { word.to_string() } else { format!("{} {word}", lines[last]) };
        if longer.chars().count() <= room {
            lines[last] = longer;
            continue;
        }
        let mut pieces = pieces(word, room);
        if lines[last].is_empty() {
            lines[last] = pieces.remove(0);
        }
        lines.append(&mut pieces);
    }
    lines
}

/// A word in pieces of at most `room` characters, broken behind hyphens where there are any. At least one piece.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut rest: Vec<char> = word.chars().collect();
    let mut out = Vec::new();
    while rest.len() > room {
        let hyphen = rest[..room].iter().rposition(|&c| c == '-').map(|at| at + 1);
        let tail = rest.split_off(hyphen.unwrap_or(room));
        out.push(rest.into_iter().collect());
        rest = tail;
    }
    out.push(rest.into_iter().collect());
    out
}

/// Whether the pixel (x, y) of a character is set, at a size; x below `WIDTH * size`, y below `HEIGHT * size`.
pub fn pixel(c: char, size: usize, x: usize, y: usize) -> bool {
    let (gx, gy) = ((x / size) as isize, (y / size) as isize);
    let here = dot(c, gx, gy);
    if size != 2 {
        return here;
    }
    // Neighbours on the side of this quarter, and on the opposite side.
    let (dx, dy) = ((x % 2) as isize * 2 - 1, (y % 2) as isize * 2 - 1);
    let (across, along) = (dot(c, gx + dx, gy), dot(c, gx, gy + dy));
    let (away_x, away_y) = (dot(c, gx - dx, gy), dot(c, gx, gy - dy));
    if across == along && across != away_x && along != away_y { across } else { here }
}

fn dot(c: char, x: isize, y: isize) -> bool {
    if !(0..WIDTH as isize).contains(&x) || !(0..HEIGHT as isize).contains(&y) {
        return false;
    }
    let code = if (' '..='~').contains(&c) { c as usize - 32 } else { 95 };
    SHEET[code / 16][y as usize].as_bytes()[code % 16 * ADVANCE + x as usize] == b'#'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_its_own_shape() {
        let shape = |c: char| -> Vec<bool> {
            (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| pixel(c, 1, x, y))).collect()
        };
        let all: Vec<char> = (' '..='~').collect();
        for (i, &a) in all.iter().enumerate() {
            assert!(a == ' ' || shape(a).contains(&true), "{a} is empty");
            assert!(all[..i].iter().all(|&b| shape(a) != shape(b)), "{a} looks like another");
        }
        assert!(pixel('\u{e9}', 1, 0, 0) && pixel('\u{e9}', 1, 4, 6), "an unknown letter is a box");
    }

    #[test]
    fn text_is_measured_cut_and_wrapped() {
        assert_eq!((text_width("", 2), text_width("ab", 1), text_width("ab", 2)), (0, 11, 22));
        assert_eq!(text_width("3\u{d7}3", 1), text_width("3x3", 1));
        assert_eq!(fit("convolution", 1, 35), "conv..");
        assert!(text_width(&fit("convolution", 2, 57), 2) <= 57);
        assert_eq!(wrap("one two three", 1, 45), ["one two", "three"]);
        assert_eq!(wrap("", 1, 45), [""]);
        assert_eq!(wrap("an integrated-gradients", 1, 71), ["an", "integrated-", "gradients"]);
        assert_eq!(wrap("convolutions", 1, 47), ["convolut", "ions"]);
        assert_eq!(wrap("ab", 1, 1), ["a", "b"]);
    }
}
