//! The operator's API on bundles in escrow and on updates that are planned.

use axum::extract::{Path, Query};
use axum::{Extension, Json};
use vault::ids::Generation;

use super::log::Act;
use super::operator::{Acted, Asks, OrRefusal, read};
use crate::api::{Bundle, Confirmation, Foreseen, Listed, NewReference, Reference, Update};
use crate::clock::now;
use crate::service::Form;

pub(super) async fn bundles(
    Extension(app): Asks,
    Path(device): Path<String>,
) -> OrRefusal<Vec<Listed<Bundle>>> {
    app.bundles(&device, now()).await.map(Json)
}

pub(super) async fn order_drill(Extension(app): Asks, Path(device): Path<String>) -> Acted {
    app.order_drill(&device, now()).await.map(Act::done)
}

pub(super) async fn delete_bundles(
    Extension(app): Asks,
    Path((device, generation)): Path<(String, u32)>,
    Query(how): Query<Confirmation>,
) -> Acted {
    app.drop_bundles(&device, Generation(generation), &how).await.map(Act::done)
}

pub(super) async fn delete_bundle(
    Extension(app): Asks,
    Path((device, digest)): Path<(String, String)>,
    Query(how): Query<Confirmation>,
) -> Acted {
    app.drop_bundle(&device, &digest, &how).await.map(Act::done)
}

pub(super) async fn offer_bundle(
    Extension(app): Asks,
    Path((device, digest)): Path<(String, String)>,
) -> Acted {
    app.offer(&device, Some(&digest)).await.map(Act::done)
}

pub(super) async fn offer_newest(Extension(app): Asks, Path(device): Path<String>) -> Acted {
    app.offer(&device, None).await.map(Act::done)
}

pub(super) async fn foresee(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(Update { reference }): Query<Update>,
) -> OrRefusal<Vec<Foreseen>> {
    app.foresee(&device, reference, now()).await.map(Json)
}

pub(super) async fn add_reference(
    Extension(app): Asks,
    Path(device): Path<String>,
    body: axum::body::Bytes,
) -> Acted<Reference> {
    let new: NewReference = read(&body, Form::NewReference)?;
    let added = app.add_reference(&device, new, now()).await?;
    let words = format!("reference {} of device `{device}` is given, to be approved", added.id);
    Ok(Act::of(added, words))
}
