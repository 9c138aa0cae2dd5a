//! Image files (png, jpeg) as bytes for data sets and as numbers in [0, 1] for nets.
//!
//! Grey becomes colour by copying, colour becomes grey by its luminance (Rec. 709 weights), transparency is dropped.
//! Resizing is the triangle filter over the area that a pixel covers, so shrinking does not alias. Sides of more than
//! [`SIDE_LIMIT`] pixels are refused before anything is decoded.

use crate::io::atomic;
use crate::{Error, Result};
use image::imageops::{FilterType, resize};
use image::{ColorType, DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits};
use ndarray::{Array3, Array4, ArrayView3, Axis};
use std::io::Cursor;
use std::path::Path;

/// Longest side of an image, in pixels.
pub const SIDE_LIMIT: u32 = 8192;
const MEMORY_LIMIT: u64 = 512 << 20;
const CURE: &str = "save the image again as png or jpeg";

/// What an image's header says.
pub(super) struct Facts {
    /// Height and width.
    pub size: [usize; 2],
    /// 1 for grey, 3 for colour.
    pub channels: usize,
}

/// Whether a file is an image by its name.
pub(super) fn is_picture(name: &str) -> bool {
    let name = name.to_lowercase();
    [".png", ".jpg", ".jpeg"].iter().any(|end| name.ends_with(end))
}

/// Size and channels, from the header alone.
pub(super) fn facts(path: &Path) -> Result<Facts> {
    let bytes = atomic::read(path)?;
    let decoder = reader(&bytes, path)?.into_decoder().map_err(|e| corrupt(path, &e))?;
    let (w, h) = decoder.dimensions();
    Ok(Facts { size: [h as usize, w as usize], channels: channels(decoder.color_type()) })
}

/// Pixels as bytes, [C, H, W], for 1 or 3 channels.
pub(super) fn read_bytes(path: &Path, channels: usize, size: Option<[usize; 2]>) -> Result<Array3<u8>> {
    let image = decode(&atomic::read(path)?, path)?;
    let to = |w, h| size.map_or((w, h), |[h, w]| (w as u32, h as u32));
    let (w, h) = to(image.width(), image.height());
    let filter = FilterType::Triangle;
    let raw = if channels == 1 {
        let grey = image.into_luma8();
        if grey.dimensions() == (w, h) { grey.into_raw() } else { resize(&grey, w, h, filter).into_raw() }
    } else {
        let colour = image.into_rgb8();
        if colour.dimensions() == (w, h) {
            colour.into_raw()
        } else {
            resize(&colour, w, h, filter).into_raw()
        }
    };
    planes(raw, channels, h as usize, w as usize, path)
}

/// Images as a net's input before its mean and deviation: [N, C, H, W] in [0, 1], and notes that say which image was
/// converted or resized, and from what.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read; [`Error::Corrupt`] for one that is no whole png or jpeg;
/// [`Error::Request`] for a net that takes neither 1 nor 3 channels, or for no image at all.
pub fn load<P: AsRef<Path>>(
    paths: &[P],
    channels: usize,
    h: usize,
    w: usize,
) -> Result<(Array4<f32>, Vec<String>)> {
    if channels != 1 && channels != 3 {
        let problem = format!("images have 1 or 3 channels, but the net takes {channels}");
        return Err(Error::request(problem, "give the input as .npy, [N, C, H, W]"));
    }
    if paths.is_empty() || h == 0 || w == 0 {
        let problem = format!("{} images of {h}x{w} are no input", paths.len());
        return Err(Error::request(problem, "give at least one image"));
    }
    let mut out = Array4::zeros((paths.len(), channels, h, w));
    let mut notes = Vec::new();
    for (path, mut place) in paths.iter().zip(out.axis_iter_mut(Axis(0))) {
        place.assign(&load_one(path.as_ref(), channels, h, w, &mut notes)?);
    }
    Ok((out, notes))
}

fn load_one(
    path: &Path,
    channels: usize,
    h: usize,
    w: usize,
    notes: &mut Vec<String>,
) -> Result<Array3<f32>> {
    let image = decode(&atomic::read(path)?, path)?;
    let mut note = |text: String| notes.push(format!("{}: {text}", path.display()));
    match (self::channels(image.color()), channels) {
        (3, 1) => note("colour converted to grey".into()),
        (1, 3) => note("grey copied to three channels".into()),
        _ => {}
    }
    if image.color().has_alpha() {
        note("transparency dropped".into());
    }
    let (to_w, to_h) = (w as u32, h as u32);
    let same = image.dimensions() == (to_w, to_h);
    if !same {
        note(format!("resized from {}x{} to {w}x{h} (width x height)", image.width(), image.height()));
    }
    let raw = if channels == 1 {
        let grey = image.to_luma32f();
        if same { grey.into_raw() } else { resize(&grey, to_w, to_h, FilterType::Triangle).into_raw() }
    } else {
        let colour = image.to_rgb32f();
        if same { colour.into_raw() } else { resize(&colour, to_w, to_h, FilterType::Triangle).into_raw() }
    };
    planes(raw, channels, h, w, path)
}

/// [H, W, C] as [C, H, W].
fn planes<T: Copy>(raw: Vec<T>, channels: usize, h: usize, w: usize, path: &Path) -> Result<Array3<T>> {
    let view = ArrayView3::from_shape((h, w, channels), &raw)
        .map_err(|e| Error::corrupt(path, "image", e.to_string(), CURE))?;
    Ok(view.permuted_axes([2, 0, 1]).as_standard_layout().into_owned())
}

fn channels(color: ColorType) -> usize {
    if color.has_color() { 3 } else { 1 }
}

fn reader<'a>(bytes: &'a [u8], path: &Path) -> Result<ImageReader<Cursor<&'a [u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::io(path, "read the image", e))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(Error::corrupt(path, "start", "neither a png nor a jpeg image", CURE));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_LIMIT);
    limits.max_image_height = Some(SIDE_LIMIT);
    limits.max_alloc = Some(MEMORY_LIMIT);
    reader.limits(limits);
    Ok(reader)
}

fn decode(bytes: &[u8], path: &Path) -> Result<DynamicImage> {
    let reader = reader(bytes, path)?;
    if reader.format() == Some(ImageFormat::Jpeg) {
        check_jpeg_end(bytes, path)?;
    }
    reader.decode().map_err(|e| corrupt(path, &e))
}

/// The decoder fills what is cut off a jpeg with grey; here the end marker must follow the last scan.
fn check_jpeg_end(bytes: &[u8], path: &Path) -> Result<()> {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    let (scan, end) = (last(0xda), last(0xd9));
    if end.is_some() && end > scan {
        return Ok(());
    }
    let problem = format!("the image has no end marker in its {} bytes: it is cut off", bytes.len());
    Err(Error::corrupt(path, "end", problem, "copy or download it again"))
}

fn corrupt(path: &Path, error: &image::ImageError) -> Error {
    let problem = match error {
        image::ImageError::Limits(_) => {
            format!("{error}; sides may have {SIDE_LIMIT} pixels and the image {MEMORY_LIMIT} bytes")
        }
        _ => error.to_string(),
    };
    Error::corrupt(path, "image", problem, CURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;

    fn gradient() -> RgbImage {
        RgbImage::from_fn(6, 4, |x, y| Rgb([(x * 40) as u8, (y * 60) as u8, 128]))
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        gradient().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn pixels_land_in_their_channel_row_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        gradient().save(&path).unwrap();
        let (input, notes) = load(&[&path], 3, 4, 6).unwrap();
        assert!(notes.is_empty());
        for c in 0..3 {
            for y in 0..4 {
                for x in 0..6 {
                    let want = f32::from(gradient()[(x as u32, y as u32)][c]) / 255.0;
                    assert!((input[[0, c, y, x]] - want).abs() < 1e-6);
                }
            }
        }
        assert_eq!(read_bytes(&path, 3, None).unwrap()[[0, 3, 5]], 200);
    }

    #[test]
    fn conversions_and_resizing_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let grey = dir.path().join("grey.png");
        GrayImage::from_pixel(10, 10, Luma([51])).save(&grey).unwrap();
        let clear = dir.path().join("clear.png");
        RgbaImage::from_pixel(5, 5, Rgba([255, 255, 255, 0])).save(&clear).unwrap();
        let (input, notes) = load(&[&grey], 3, 5, 5).unwrap();
        assert!(input.iter().all(|v| (v - 0.2).abs() < 1e-6));
        assert!(notes[0].ends_with("grey copied to three channels"));
        assert!(notes[1].ends_with("resized from 10x10 to 5x5 (width x height)"));
        let (input, notes) = load(&[&clear], 1, 5, 5).unwrap();
        assert!(input.iter().all(|v| (v - 1.0).abs() < 1e-6));
        assert!(notes[0].contains("converted to grey") && notes[1].contains("transparency dropped"));
        assert!(load(&[&grey], 4, 5, 5).is_err());
    }

    #[test]
    fn each_reason_for_rejection_names_the_file() {
        let (png, jpeg) = (encoded(ImageFormat::Png), encoded(ImageFormat::Jpeg));
        let mut huge = png.clone();
        huge[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        let mut wrong_sum = png.clone();
        let at = png.windows(4).position(|w| w == b"IDAT").unwrap() + 6;
        wrong_sum[at] ^= 0xff;
        for (bytes, want) in [
            (b"".to_vec(), "neither a png nor a jpeg"),
            (b"GIF89a......".to_vec(), "neither a png nor a jpeg"),
            (png[..png.len() / 2].to_vec(), "image: "),
            (png[..20].to_vec(), "image: "),
            (huge, "image: "),
            (wrong_sum, "image: "),
            (jpeg[..jpeg.len() - 2].to_vec(), "no end marker"),
            (jpeg[..30].to_vec(), "no end marker"),
        ] {
            let error = decode(&bytes, Path::new("x.png")).unwrap_err();
            assert!(
                error.to_string().starts_with("x.png: ") && error.to_string().contains(want),
                "{want}\n{error}"
            );
            assert_eq!(error.exit_code(), 4);
        }
    }

    #[test]
    fn a_picture_too_large_is_refused_by_its_header() {
        // a png header for 60000 x 4 pixels with a right checksum
        let mut bytes = Vec::new();
        let mut encoder = png_header(60_000, 4);
        bytes.append(&mut encoder);
        let error = decode(&bytes, Path::new("x.png")).unwrap_err().to_string();
        assert!(error.contains("8192"), "{error}");
    }

    fn png_header(w: u32, h: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(w.to_be_bytes());
        chunk.extend(h.to_be_bytes());
        chunk.extend([8, 0, 0, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&chunk);
        let mut out = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        out.extend(chunk);
        out.extend(crc.sum().to_be_bytes());
        out.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        out
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(jpeg: bool, cut in 0usize..900, at in 0usize..900, byte: u8) {
            let mut bytes = encoded(if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png });
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _ = decode(&bytes, Path::new("x"));
        }
    }
}
