//! The operator's API, under `/api/v1`: JSON, a bearer token on every request, errors as [`Problem`](crate::api::Problem).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::de::DeserializeOwned;
use vault::ids::{DeviceId, Name, VaultId};
use vault::policy::{DELETE_AFTER, Removal};

use super::App;
use super::answer::{busy, to_operator};
use super::courier::{export, import};
use super::devices::{delete_device, deleted_devices, find, forget_device, identify, lose, repin, settle};
use super::escrow::{
    add_reference, bundles, delete_bundle, delete_bundles, foresee, offer_bundle, offer_newest, order_drill,
};
use super::intake::Intake;
use super::log::Act;
use super::shares::Source;
use super::sources::{Prover, Seat};
use crate::api::calls::{
    ADD_REFERENCE, ADD_TOKEN, ADOPT, ALLOW, ALLOWANCES, APPLY, APPROVE, Call, DELETE_BUNDLE, DELETE_BUNDLES,
    DELETE_DEVICE, DELETE_POLICY, DELETE_RULE, DELETE_VAULT, DELETED_DEVICES, DEVICE, DEVICES, DISALLOW,
    DRILL, END_OTHER_TOKENS, ESCROW, EXPORT, FIND, FORESEE, FORGET_DEVICE, GLANCE, IDENTIFY, IMPORT, KNOCKS,
    KNOWN_VAULT, LABEL, LEARN, LOSE, Method, OFFER_BUNDLE, OFFER_NEWEST, POLICIES, RECREATE, REFERENCES,
    REHOME, REJECT, REPIN, ROTATE, RULES, SETTLE, STATUS, VAULTS, WITHDRAW,
};
use crate::api::{
    Adoption, Allow, Allowance, Applied, Applying, Described, DeviceView, Done, Glance, Knock, Known,
    Labelling, List, Listed, NewToken, Outcome, PolicyView, Recreation, Reference, Rehoming, Rotation,
    RuleView, ServerStatus, VaultDeletion, VaultView,
};
use crate::clock::now;
use crate::operator::Operator;
use crate::operator::operate::RemovalWish;
use crate::service::{BadRequest, Form, NoToken, Refusal, Unknown, token_hash};
use crate::store::{Page, ReferenceState};

pub(super) type OrRefusal<T> = Result<Json<T>, Refusal>;
/// Of a request that changed something.
pub(super) type Acted<T = Done> = Result<Act<T>, Refusal>;
/// Who asks: put there by [`with_token`].
pub(super) type Asks = Extension<Operator>;

/// Most rows of one answer.
const MOST: u32 = 1000;

/// The routes, by the table of calls.
pub(super) fn routes() -> Router<App> {
    let on = Routes(Router::new()).call(&STATUS, status).call(&GLANCE, glance).call(&KNOCKS, knocks);
    let on = on.call(&ALLOWANCES, allowances).call(&ALLOW, allow).call(&DISALLOW, disallow);
    let on = on.call(&ADD_TOKEN, add_token).call(&END_OTHER_TOKENS, end_other_tokens);
    let on = on.call(&APPLY, apply);
    let on = on.call(&DEVICES, devices).call(&DEVICE, device).call(&DELETE_DEVICE, delete_device);
    let on =
        on.call(&LOSE, lose).call(&FIND, find).call(&SETTLE, settle).call(&REPIN, repin).call(&LEARN, learn);
    let on = on.call(&DELETE_VAULT, delete_vault).call(&ROTATE, rotate).call(&RECREATE, recreate);
    let on = on.call(&WITHDRAW, withdraw).call(&KNOWN_VAULT, known_vault);
    let on = on.call(&IDENTIFY, identify);
    let on = on.call(&REHOME, rehome).call(&ADOPT, adopt).call(&VAULTS, vaults);
    let on = on.call(&LABEL, label).call(&RULES, rules).call(&DELETE_RULE, delete_rule);
    let on = on.call(&POLICIES, policies).call(&DELETE_POLICY, delete_policy);
    let on = on.call(&REFERENCES, references).call(&APPROVE, approve).call(&REJECT, reject);
    let on = on.call(&ADD_REFERENCE, add_reference).call(&FORESEE, foresee);
    let on = on.call(&ESCROW, bundles).call(&DELETE_BUNDLES, delete_bundles).call(&DRILL, order_drill);
    let on = on.call(&DELETED_DEVICES, deleted_devices).call(&FORGET_DEVICE, forget_device);
    let on = on
        .call(&DELETE_BUNDLE, delete_bundle)
        .call(&OFFER_BUNDLE, offer_bundle)
        .call(&OFFER_NEWEST, offer_newest);
    let on = on.call(&EXPORT, export);
    on.0.fallback(|| async { Refusal::from(Unknown::Path) })
}

/// The one whose body is as long as all that a device may say.
pub(super) fn long() -> Router<App> {
    Routes(Router::new()).call(&IMPORT, import).0
}

struct Routes(Router<App>);

impl Routes {
    fn call<P, B, A, T: 'static>(self, call: &Call<P, B, A>, handler: impl Handler<T, App>) -> Self {
        let answered = match call.method {
            Method::Get => get(handler),
            Method::Post => post(handler),
            Method::Delete => delete(handler),
        };
        Self(self.0.route(call.path, answered))
    }
}

/// Lets only requests with a good token reach these routes. The token is checked before anything of the body is taken in.
pub(super) fn authorized(routes: Router<App>, app: App, intake: Arc<Intake>) -> Router<App> {
    routes.layer(from_fn_with_state((app, intake), with_token))
}

async fn with_token(
    State((app, intake)): State<(App, Arc<Intake>)>,
    Extension(source): Extension<Source>,
    Extension(connection): Extension<Arc<Seat>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let hash = token_hash(bearer(request.headers())?);
    let Some(operator) = app.tokens.looked_up(&app.controller, &hash, (&intake, source)).await? else {
        return Ok(busy());
    };
    connection.proved(Prover::Operator(hash));
    request.extensions_mut().insert(operator);
    let looks = request.method() == axum::http::Method::GET;
    let answer = next.run(request).await;
    if !looks && answer.status().is_success() {
        app.acted().await;
    }
    Ok(to_operator(answer))
}

fn bearer(headers: &HeaderMap) -> Result<&str, NoToken> {
    let told = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = told.and_then(|value| value.strip_prefix("Bearer "));
    token.filter(|token| token.len() <= 256).ok_or(NoToken::Absent)
}

async fn allow(Extension(app): Asks, body: axum::body::Bytes) -> Acted<Allowance> {
    let ask: Allow = read(&body, Form::Allow)?;
    let name = ask.name.clone().map(named).transpose()?;
    let allowed = app.allow(ask, name, now()).await?;
    let words = format!("serial `{}` may onboard with certificate {}", allowed.serial, allowed.certificate);
    Ok(Act::of(allowed, words))
}

async fn status(Extension(app): Asks) -> OrRefusal<ServerStatus> {
    app.status(now()).map(Json)
}

async fn glance(Extension(app): Asks) -> OrRefusal<Glance> {
    app.glance(now()).await.map(Json)
}

async fn knocks(Extension(app): Asks) -> OrRefusal<Vec<Knock>> {
    app.knocks(now()).await.map(Json)
}

/// `after` is `CERTIFICATE/SERIAL`.
async fn allowances(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<Allowance>>> {
    let after = match list.after.split_once('/') {
        None if list.after.is_empty() => None,
        Some((digest, serial)) => Some((certificate(digest)?, serial)),
        None => return Err(BadRequest::CertificateDigest.into()),
    };
    app.allowances(after, limit(&list)).await.map(Json)
}

fn certificate(digest: &str) -> Result<[u8; 32], BadRequest> {
    hash(digest).ok_or(BadRequest::CertificateDigest)
}

fn hash(digits: &str) -> Option<[u8; 32]> {
    hex::decode(digits).ok()?.try_into().ok()
}

/// A body of a form.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], form: Form) -> Result<T, BadRequest> {
    serde_json::from_slice(body).map_err(|why| BadRequest::Json { form, why })
}

async fn disallow(Extension(app): Asks, Path((digest, serial)): Path<(String, String)>) -> Acted {
    app.disallow(&certificate(&digest)?, &serial).await.map(Act::done)
}

async fn add_token(Extension(app): Asks, body: axum::body::Bytes) -> Acted {
    let new: NewToken = read(&body, Form::NewToken)?;
    let hash = hash(&new.sha256).ok_or(BadRequest::TokenHash)?;
    app.add_token(&hash, now()).await.map(Act::done)
}

/// All but the one that this request carries.
async fn end_other_tokens(Extension(app): Asks, headers: HeaderMap) -> Acted {
    app.end_other_tokens(&token_hash(bearer(&headers)?)).await.map(Act::done)
}

async fn apply(Extension(app): Asks, Query(how): Query<Applying>, text: String) -> Acted<Vec<Applied>> {
    let applied = app.apply(&text, how.dry_run, now()).await?;
    let words = if how.dry_run {
        format!("dry run of {} documents: nothing changed", applied.len())
    } else {
        applied.iter().map(words_of).collect::<Vec<_>>().join("; ")
    };
    Ok(Act::of(applied, words))
}

fn words_of(Applied { kind, name, outcome, .. }: &Applied) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Unchanged => "unchanged",
        Outcome::Changed => "changed",
    };
    format!("{kind} {name} {outcome}")
}

fn limit(list: &List) -> u32 {
    list.limit.unwrap_or(MOST).min(MOST)
}

fn page(list: &List) -> Page {
    Page { after: list.after.clone(), limit: limit(list) }
}

async fn devices(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<DeviceView>>> {
    let selector = list.selector.as_deref().map(str::parse).transpose().map_err(BadRequest::Labels)?;
    app.show_devices(selector.as_ref(), &page(&list), now()).await.map(Json)
}

async fn label(Extension(app): Asks, Path(device): Path<String>, body: axum::body::Bytes) -> Acted {
    let how: Labelling = read(&body, Form::Labelling)?;
    app.label(&device, &how, now()).await.map(Act::done)
}

async fn rules(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<RuleView>>> {
    app.show_rules(&page(&list)).await.map(Json)
}

async fn delete_rule(Extension(app): Asks, Path(rule): Path<String>) -> Acted {
    app.delete_rule(&named(rule)?).await.map(Act::done)
}

async fn device(Extension(app): Asks, Path(which): Path<String>) -> OrRefusal<Described> {
    app.show_device(&which, now()).await.map(Json)
}

/// `after` is `DEVICE/VAULT`, two UUIDs.
async fn vaults(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<VaultView>>> {
    if let Some(device) = &list.device {
        return app.show_vaults_of(device, now()).await.map(Json);
    }
    let after = list
        .after
        .split_once('/')
        .map(|(device, vault)| (device.parse::<DeviceId>(), vault.parse::<VaultId>()));
    let after = match after {
        None => None,
        Some((Ok(device), Ok(vault))) => Some((device, vault)),
        Some(_) => return Err(BadRequest::AfterVault.into()),
    };
    app.show_vaults(after, limit(&list), now()).await.map(Json)
}

async fn policies(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<PolicyView>>> {
    app.show_policies(&page(&list)).await.map(Json)
}

async fn references(Extension(app): Asks, Query(list): Query<List>) -> OrRefusal<Vec<Listed<Reference>>> {
    let after = match list.after.as_str() {
        "" => 0,
        number => number.parse().map_err(|_| BadRequest::AfterReference)?,
    };
    app.references(list.device.as_deref(), after, limit(&list)).await.map(Json)
}

async fn approve(Extension(app): Asks, Path(id): Path<i64>) -> Acted {
    app.judge_reference(id, ReferenceState::Approved, now()).await.map(Act::done)
}

async fn reject(Extension(app): Asks, Path(id): Path<i64>) -> Acted {
    app.judge_reference(id, ReferenceState::Rejected, now()).await.map(Act::done)
}

async fn learn(Extension(app): Asks, Path(device): Path<String>) -> Acted {
    app.learn_again(&device).await.map(Act::done)
}

fn named(text: String) -> Result<Name, BadRequest> {
    Name::try_from(text).map_err(BadRequest::Name)
}

async fn known_vault(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
) -> OrRefusal<Known> {
    app.known_vault(&device, named(vault)?).await.map(Json)
}

async fn delete_vault(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    Query(how): Query<VaultDeletion>,
) -> Acted {
    let wish = RemovalWish { after: grace(how.delete_after)?, confirm: how.confirm };
    app.delete_vault(&device, &named(vault)?, &wish, now()).await.map(Act::done)
}

fn grace(delete_after: Option<u64>) -> Result<Option<Removal>, BadRequest> {
    let Some(grace) = delete_after.map(Duration::from_secs) else { return Ok(None) };
    let (least, most) = DELETE_AFTER;
    let within = (least..=most).contains(&grace);
    within
        .then_some(Some(Removal::DeleteAfter(grace)))
        .ok_or(BadRequest::DeleteAfter { seconds: grace.as_secs() })
}

async fn rotate(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Acted {
    let how = if body.is_empty() { Rotation::default() } else { read(&body, Form::Rotation)? };
    app.rotate(&device, &named(vault)?, &how, now()).await.map(Act::done)
}

async fn recreate(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    Query(how): Query<Recreation>,
) -> Acted {
    app.recreate(&device, &named(vault)?, &how).await.map(Act::done)
}

async fn withdraw(Extension(app): Asks, Path((device, vault)): Path<(String, String)>) -> Acted {
    app.withdraw(&device, &named(vault)?).await.map(Act::done)
}

async fn rehome(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Acted {
    let how: Rehoming = read(&body, Form::Rehoming)?;
    app.rehome(&device, &named(vault)?, &how).await.map(Act::done)
}

async fn adopt(
    Extension(app): Asks,
    Path((device, vault)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Acted {
    let how: Adoption = read(&body, Form::Adoption)?;
    app.adopt(&device, &named(vault)?, &how, now()).await.map(Act::done)
}

async fn delete_policy(Extension(app): Asks, Path(policy): Path<String>) -> Acted {
    app.delete_policy(&named(policy)?).await.map(Act::done)
}
