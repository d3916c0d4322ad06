//! Registries of images, by the distribution API alone: no container engine.
//!
//! [`Registry`] resolves a name to a digest, says what is there, makes an image of a release's tree on a base, and removes what
//! [`plan_retention`] found that no release needs. A digest is only given when the bytes were hashed here; credentials go to the
//! host they are for, never along a redirect; what cannot be read is an error, never an absence.
//!
//! Of its neighbours it names `release`, for what a tree is.

mod blobs;
mod challenge;
mod client;
mod credentials;
mod error;
mod layer;
mod manifest;
mod name;
mod push;
mod recipe;
mod removing;
mod retention;
mod settings;
mod token;
mod transport;

pub use client::{Presence, Registry, Resolved, TagState};
pub use credentials::{CredentialError, Credentials};
pub use error::{Problem, RegistryError, Said};
pub use manifest::{ImageConfig, Platform};
pub use name::{ImageName, is_own_tag, own_tag};
pub use push::{Pushed, TakenTag};
pub use recipe::ImageRecipe;
pub use removing::Removed;
pub use retention::{Kept, KnownImages, Reason, ReleasedImage, Removal, RetentionPlan, Survey, plan_retention};
pub use settings::RegistrySettings;
