//! The operator's API on one device as a whole: it is deleted, lost, found, settled, or known as another one.

use axum::extract::{Path, Query};
use axum::{Extension, Json};

use super::log::Act;
use super::operator::{Acted, Asks, OrRefusal, read};
use crate::api::{Confirmation, DeletedDevice, Deletion, Listed, NewIdentity};
use crate::clock::now;
use crate::service::Form;

pub(super) async fn delete_device(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(how): Query<Deletion>,
) -> Acted {
    app.delete_device(&device, &how, now()).await.map(Act::done)
}

pub(super) async fn lose(Extension(app): Asks, Path(device): Path<String>) -> Acted {
    app.lose(&device, now()).await.map(Act::done)
}

pub(super) async fn find(Extension(app): Asks, Path(device): Path<String>) -> Acted {
    app.find(&device).await.map(Act::done)
}

pub(super) async fn deleted_devices(Extension(app): Asks) -> OrRefusal<Vec<Listed<DeletedDevice>>> {
    app.deleted_devices().await.map(Json)
}

pub(super) async fn forget_device(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(how): Query<Confirmation>,
) -> Acted {
    app.forget_device(&device, &how).await.map(Act::done)
}

pub(super) async fn settle(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(how): Query<Confirmation>,
) -> Acted {
    app.settle(&device, &how).await.map(Act::done)
}

pub(super) async fn repin(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(how): Query<Confirmation>,
) -> Acted {
    app.repin(&device, &how).await.map(Act::done)
}

pub(super) async fn identify(
    Extension(app): Asks,
    Path(device): Path<String>,
    body: axum::body::Bytes,
) -> Acted {
    let how: NewIdentity = read(&body, Form::NewIdentity)?;
    app.identify(&device, &how).await.map(Act::done)
}
