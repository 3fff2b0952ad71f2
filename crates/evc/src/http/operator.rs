//! The operator's API, under `/api/v1`: JSON, a bearer token on every request, errors as `{error, advice}`.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use vault::ids::{DeviceId, Name, VaultId};

use super::App;
use super::answer::busy;
use super::intake::Intake;
use super::shares::Source;
use crate::api::{
    Adoption, Allow, Allowance, Applied, Described, DeviceView, Done, NewToken, PolicyView, Reference,
    Rehoming, Rotation, VaultView,
};
use crate::clock::now;
use crate::operator::Operator;
use crate::service::{Refusal, token_hash};
use crate::store::{Page, ReferenceState};

type Told<T> = Result<Json<T>, Refusal>;
/// Who asks: put there by [`with_token`].
type Asks = Extension<Operator>;

/// Most rows of one answer.
const MOST: u32 = 1000;

/// The routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/onboarding", get(allowances).post(allow))
        .route("/onboarding/{certificate}/{serial}", delete(disallow))
        .route("/tokens", post(add_token))
        .route("/tokens/others", delete(end_other_tokens))
        .route("/apply", post(apply))
        .route("/devices", get(devices))
        .route("/devices/{device}", get(device).delete(delete_device))
        .route("/devices/{device}/lost", post(lose).delete(find))
        .route("/devices/{device}/alarm", delete(settle))
        .route("/devices/{device}/learn", post(learn))
        .route("/devices/{device}/vaults/{vault}", delete(delete_vault))
        .route("/devices/{device}/vaults/{vault}/rotate", post(rotate))
        .route("/devices/{device}/vaults/{vault}/recreate", post(recreate))
        .route("/devices/{device}/vaults/{vault}/rehome", post(rehome))
        .route("/devices/{device}/vaults/{vault}/adopt", post(adopt))
        .route("/vaults", get(vaults))
        .route("/policies", get(policies))
        .route("/policies/{policy}", delete(delete_policy))
        .route("/references", get(references))
        .route("/references/{id}/approve", post(approve))
        .route("/references/{id}/reject", post(reject))
        .fallback(|| async { unknown() })
}

/// Puts routes behind the token: it is asked for before anything of the body is taken in.
pub(super) fn authorized(routes: Router<App>, app: App, intake: Arc<Intake>) -> Router<App> {
    routes.layer(from_fn_with_state((app, intake), with_token))
}

fn unknown() -> Refusal {
    Refusal::NotFound {
        what: "this path".into(),
        advice: "the command line knows every path: see `evc --help`".into(),
    }
}

async fn with_token(
    State((app, intake)): State<(App, Arc<Intake>)>,
    Extension(source): Extension<Source>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let hash = token_hash(bearer(request.headers())?);
    // Strangers ask too: the look-up takes a place, and gives it back before the body comes in.
    let Some(place) = intake.place(source) else { return Ok(busy()) };
    let operator = Operator::by_token(app.controller.clone(), &hash).await?;
    drop(place);
    request.extensions_mut().insert(operator);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let told = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = told.and_then(|value| value.strip_prefix("Bearer "));
    token.filter(|token| token.len() <= 256).ok_or(Refusal::NoToken("no token"))
}

async fn allow(Extension(app): Asks, body: axum::body::Bytes) -> Told<Allowance> {
    let ask: Allow = serde_json::from_slice(&body)
        .map_err(|e| Refusal::bad(e.to_string(), "send {cert_pem, serial, name?}"))?;
    let name = ask.name.map(named).transpose()?;
    app.allow(&ask.cert_pem, &ask.serial, name, now()).await.map(Json)
}

/// `after` is `CERTIFICATE/SERIAL`.
async fn allowances(Extension(app): Asks, Query(list): Query<List>) -> Told<Vec<Allowance>> {
    let after = match list.after.split_once('/') {
        None if list.after.is_empty() => None,
        Some((digest, serial)) => Some((certificate(digest)?, serial)),
        None => return Err(no_certificate()),
    };
    app.allowances(after, list.limit()).await.map(Json)
}

fn certificate(digest: &str) -> Result<[u8; 32], Refusal> {
    hex::decode(digest).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(no_certificate)
}

fn no_certificate() -> Refusal {
    Refusal::bad(
        "not a certificate's SHA-256",
        "give its 64 hexadecimal digits, as `evc onboard list` shows them",
    )
}

async fn disallow(Extension(app): Asks, Path((digest, serial)): Path<(String, String)>) -> Told<Done> {
    app.disallow(&certificate(&digest)?, &serial).await.map(Json)
}

async fn add_token(Extension(app): Asks, body: axum::body::Bytes) -> Told<Done> {
    let form = || Refusal::bad("not a token's hash", "send {sha256}: 64 hexadecimal digits");
    let new: NewToken = serde_json::from_slice(&body).map_err(|_| form())?;
    let hash = hex::decode(new.sha256).ok().and_then(|hash| hash.try_into().ok()).ok_or_else(form)?;
    app.add_token(&hash, now()).await.map(Json)
}

/// All but the one that this request carries.
async fn end_other_tokens(Extension(app): Asks, headers: HeaderMap) -> Told<Done> {
    app.end_other_tokens(&token_hash(bearer(&headers)?)).await.map(Json)
}

#[derive(Deserialize)]
struct Apply {
    #[serde(default)]
    dry_run: bool,
}

async fn apply(Extension(app): Asks, Query(how): Query<Apply>, text: String) -> Told<Vec<Applied>> {
    app.apply(&text, how.dry_run, now()).await.map(Json)
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    after: String,
    limit: Option<u32>,
    device: Option<String>,
}

impl List {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(MOST).min(MOST)
    }
    fn page(&self) -> Page {
        Page { after: self.after.clone(), limit: self.limit() }
    }
}

async fn devices(Extension(app): Asks, Query(list): Query<List>) -> Told<Vec<DeviceView>> {
    app.show_devices(&list.page(), now()).await.map(Json)
}

async fn device(Extension(app): Asks, Path(which): Path<String>) -> Told<Described> {
    let (device, vaults) = app.show_device(&which, now()).await?;
    Ok(Json(Described { device, vaults }))
}

/// `after` is `DEVICE/VAULT`, two UUIDs.
async fn vaults(Extension(app): Asks, Query(list): Query<List>) -> Told<Vec<VaultView>> {
    if let Some(device) = &list.device {
        return Ok(Json(app.show_device(device, now()).await?.1));
    }
    let after = list
        .after
        .split_once('/')
        .map(|(device, vault)| (device.parse::<DeviceId>(), vault.parse::<VaultId>()));
    let after = match after {
        None => None,
        Some((Ok(device), Ok(vault))) => Some((device, vault)),
        Some(_) => return Err(Refusal::bad("`after` is not DEVICE/VAULT", "give two UUIDs")),
    };
    app.show_vaults(after, list.limit(), now()).await.map(Json)
}

async fn policies(Extension(app): Asks, Query(list): Query<List>) -> Told<Vec<PolicyView>> {
    app.show_policies(&list.page()).await.map(Json)
}

async fn references(Extension(app): Asks, Query(list): Query<List>) -> Told<Vec<Reference>> {
    let after = match list.after.as_str() {
        "" => 0,
        number => number
            .parse()
            .map_err(|_| Refusal::bad("`after` is not a number", "give the last one's `id`, or nothing"))?,
    };
    app.references(list.device.as_deref(), after, list.limit()).await.map(Json)
}

async fn approve(Extension(app): Asks, Path(id): Path<i64>) -> Told<Done> {
    app.judge_reference(id, ReferenceState::Approved, now()).await.map(Json)
}

async fn reject(Extension(app): Asks, Path(id): Path<i64>) -> Told<Done> {
    app.judge_reference(id, ReferenceState::Rejected, now()).await.map(Json)
}

async fn learn(Extension(app): Asks, Path(device): Path<String>) -> Told<Done> {
    app.learn_again(&device).await.map(Json)
}

fn named(text: String) -> Result<Name, Refusal> {
    Name::try_from(text).map_err(|e| Refusal::bad("not a name", e.to_string()))
}

async fn delete_vault(Extension(app): Asks, Path((device, vault)): Path<(String, String)>) -> Told<Done> {
    app.delete_vault(&device, &named(vault)?, now()).await.map(Json)
}

async fn rotate(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Told<Done> {
    let how = if body.is_empty() { Ok(Rotation::default()) } else { serde_json::from_slice(&body) };
    let how = how.map_err(|e| Refusal::bad(e.to_string(), "send {force?, expect_epoch?}"))?;
    app.rotate(&device, &named(vault)?, how, now()).await.map(Json)
}

#[derive(Deserialize)]
struct Recreate {
    #[serde(default)]
    new_disk: bool,
}

async fn recreate(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    Query(Recreate { new_disk }): Query<Recreate>,
) -> Told<Done> {
    app.recreate(&device, &named(vault)?, new_disk).await.map(Json)
}

#[derive(Deserialize)]
struct Force {
    #[serde(default)]
    force: bool,
}

async fn delete_device(
    Extension(app): Asks,
    Path(device): Path<String>,
    Query(Force { force }): Query<Force>,
) -> Told<Done> {
    app.delete_device(&device, force, now()).await.map(Json)
}

async fn lose(Extension(app): Asks, Path(device): Path<String>) -> Told<Done> {
    app.lose(&device, now()).await.map(Json)
}

async fn find(Extension(app): Asks, Path(device): Path<String>) -> Told<Done> {
    app.find(&device).await.map(Json)
}

async fn settle(Extension(app): Asks, Path(device): Path<String>) -> Told<Done> {
    app.settle(&device).await.map(Json)
}

async fn rehome(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Told<Done> {
    let how: Rehoming = serde_json::from_slice(&body)
        .map_err(|e| Refusal::bad(e.to_string(), "send {to}: the name or UUID of the other device"))?;
    app.rehome(&device, &named(vault)?, &how).await.map(Json)
}

async fn adopt(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Told<Done> {
    let how: Adoption =
        serde_json::from_slice(&body).map_err(|e| Refusal::bad(e.to_string(), "send {policy}: its name"))?;
    app.adopt(&device, &named(vault)?, &how, now()).await.map(Json)
}

async fn delete_policy(Extension(app): Asks, Path(policy): Path<String>) -> Told<Done> {
    app.delete_policy(&named(policy)?).await.map(Json)
}
