//! A data set as a cloud of points in the plane: images by their pixels, or by what a layer makes of them.
//!
//! Principal components ([`pca`]) keep large distances and are linear; t-SNE ([`tsne`]) keeps neighbours and bends
//! everything else. How far either can be believed is said by [`neighbour_agreement`] and [`trustworthiness`].

mod eigen;
mod pca;
mod points;
mod quality;
mod scatter;
mod tsne;

pub use pca::{Pca, pca};
pub use points::{MOST, Pooling, points};
pub use quality::{chance, neighbour_agreement, trustworthiness};
pub use scatter::{Cloud, scatter};
pub use tsne::{Init, Layout, Options, divergence, gradient, joint, tsne};

#[cfg(test)]
mod tests;
