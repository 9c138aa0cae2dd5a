//! Pictures one after another: an animated PNG, which browsers play and every other viewer shows the first frame of
//! (<https://www.w3.org/TR/png-3/#apng-frame-based-animation>).

use crate::canvas::Canvas;
use crate::error::{Error, Result};

/// Milliseconds that a frame stands.
const FRAME: u16 = 500;
/// Milliseconds that the last one stands, before it starts again.
const LAST: u16 = 2000;

/// The frames as the bytes of one animated PNG that repeats for ever. The same frames give the same bytes.
///
/// # Errors
/// No frame, frames of different sizes, the encoder's own failure.
pub fn animation(frames: &[Canvas]) -> Result<Vec<u8>> {
    let Some(first) = frames.first() else {
        return Err(Error::shape("animation", "there is no frame", "give at least one"));
    };
    let (width, height) = (first.width(), first.height());
    if let Some(other) = frames.iter().find(|f| (f.width(), f.height()) != (width, height)) {
        let problem = format!("frames of {width}x{height} and {}x{} pixels", other.width(), other.height());
        return Err(Error::shape("animation", problem, "draw all frames in one size"));
    }
    let mut bytes = Vec::new();
    encode(&mut bytes, frames, width as u32, height as u32).map_err(|e| Error::Encode {
        width,
        height,
        reason: e.to_string(),
    })?;
    Ok(bytes)
}

fn encode(bytes: &mut Vec<u8>, frames: &[Canvas], width: u32, height: u32) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(frames.len() as u32, 0)?;
    encoder.set_frame_delay(FRAME, 1000)?;
    encoder.set_filter(png::Filter::Adaptive);
    let mut writer = encoder.write_header()?;
    for (i, frame) in frames.iter().enumerate() {
        if i + 1 == frames.len() {
            writer.set_frame_delay(LAST, 1000)?;
        }
        writer.write_image_data(frame.bytes())?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::{BLACK, WHITE};

    #[test]
    fn frames_come_back_in_order_and_first_as_a_plain_picture() {
        let frames = [WHITE, BLACK, [9, 8, 7]].map(|color| Canvas::new(5, 4, color).unwrap());
        let bytes = animation(&frames).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let control = reader.info().animation_control.unwrap();
        assert_eq!((control.num_frames, control.num_plays), (3, 0));
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        for frame in &frames {
            reader.next_frame(&mut buffer).unwrap();
            assert_eq!(buffer, frame.bytes());
        }
        let plain = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(plain.as_raw(), frames[0].bytes());
    }

    #[test]
    fn no_frame_or_frames_of_two_sizes_are_refused() {
        assert!(animation(&[]).is_err());
        let frames = [Canvas::white(3, 3).unwrap(), Canvas::white(3, 4).unwrap()];
        assert!(animation(&frames).unwrap_err().to_string().contains("3x4"));
    }
}
