//! Methods that look inside a net, and the pictures they end in.
//!
//! Everything here is a pure function of plain arrays: no file, clock, environment, thread or global state, so the
//! same input gives the same bytes anywhere, also in a browser. PNG pictures are made as bytes in memory
//! ([`Canvas::png`]), drawings as SVG text; writing them to disk is the caller's business.
//!
//! From values to a picture: [`scale`] finds the range, [`color`] the colours, [`resize`] the size, and the
//! figures compose them on a [`canvas`] with titles, numbers and a scale bar.

pub mod animation;
pub mod architecture;
pub mod belief;
pub mod canvas;
pub mod cnnvis;
pub mod color;
pub mod confusion;
pub mod curves;
pub mod diagnosis;
pub mod error;
pub mod evolution;
pub mod figures;
pub mod font;
pub mod gallery;
pub mod histogram;
pub mod methods;
pub mod mosaic;
pub mod number;
pub mod overlay;
pub mod probes;
pub mod projection;
pub mod resize;
pub mod scale;
pub mod set;
mod sheet;
pub mod steps;
pub mod studies;
mod svg;
pub mod tiles;
pub mod weights;

pub use canvas::Canvas;
pub use color::{ColorMap, Rgb};
pub use error::{Error, Result};
pub use scale::{Mode, Range, Scope, Style};
