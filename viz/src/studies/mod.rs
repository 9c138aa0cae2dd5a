//! Studies of a net over many images or many variants of one: numbers without pictures.
//!
//! What holds for methods holds here: the net runs in evaluation and nothing of it is changed, ties go to the lower
//! index, and no result depends on batches or threads.

pub mod correspondence;
pub mod invariance;
pub mod localization;
pub mod occlusion_sensitivity;
pub mod top_images;
