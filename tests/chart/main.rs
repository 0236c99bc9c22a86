//! The Helm chart as its users meet it: rendered, refused, installed, and with the rights it grants and no others.

mod cluster;
mod generated;
mod helm;
mod image;
mod lifecycle;
mod operator;
mod readme;
mod rendered;
mod rights;
mod schema;
mod secrets;
mod tenant;
mod wire;
