//! The operator's API on a courier's files.

use axum::Extension;
use axum::extract::Path;

use super::log::Act;
use super::operator::{Acted, Asks, read};
use super::shares::Source;
use crate::api::{CourierFile, Exporting, Importing};
use crate::clock::now;
use crate::service::Form;

pub(super) async fn export(
    Extension(app): Asks,
    Path(device): Path<String>,
    body: axum::body::Bytes,
) -> Acted<CourierFile> {
    let ask: Exporting = read(&body, Form::Exporting)?;
    let made = app.export(&device, ask.good_for_s, now()).await?;
    let words = format!("courier: an answer for device `{}` was exported{}", made.device_name, what(&made));
    Ok(Act::of(made, words))
}

pub(super) async fn import(
    Extension(app): Asks,
    Extension(source): Extension<Source>,
    body: axum::body::Bytes,
) -> Acted<CourierFile> {
    let Importing { file } = read(&body, Form::Importing)?;
    let made = app.import(&file, Some(source.address()), now()).await?;
    let words = format!("courier: evidence of device `{}` was imported{}", made.device_name, what(&made));
    Ok(Act::of(made, words))
}

fn what(made: &CourierFile) -> String {
    let section = made
        .section
        .map_or_else(|| "no list of vaults".to_owned(), |number| format!("list of vaults {number}"));
    format!("; in the answer: {section}, keys of vaults: {}, orders: {}", made.releases, made.orders)
}
