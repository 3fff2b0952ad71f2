//! A refusal as a status code and `{error, advice}`: one mapping for devices and operators, from who must act to what is sent;
//! and the same for what the framework refuses by itself.

use axum::Json;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use vault::text::plain;

use crate::api::Problem;
use crate::service::{Advice as _, LifeRefusal, NotAdopted, Refusal, Refused};

/// The code for a refusal.
pub(super) fn code(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Bad { .. } => StatusCode::BAD_REQUEST,
        Refusal::Unauthorized(_) | Refusal::NoToken(_) => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
        Refusal::NotFound { .. }
        | Refusal::Life(LifeRefusal { cause: Refused::Adopted(NotAdopted::Unknown), .. }) => {
            StatusCode::NOT_FOUND
        }
        Refusal::Conflict { .. } | Refusal::Life(_) => StatusCode::CONFLICT,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Custody(_) | Refusal::Store(_) | Refusal::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Logs what is ours to mend, with its causes; a caller's own mistakes are not errors of ours.
fn log(refusal: &Refusal) {
    match refusal {
        Refusal::Custody(_) | Refusal::Store(_) | Refusal::Internal(_) => {
            tracing::error!(error = %crate::service::chain(refusal), "refused");
        }
        // Whoever sends more than his share would fill the log.
        Refusal::Busy => tracing::debug!("refused: busy"),
        other => tracing::info!(reason = %other, "refused"),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        log(&self);
        error_response(code(&self), &self.to_string(), &self.advice())
    }
}

/// Busy, for what is not worth a line of the log each.
pub(super) fn busy() -> Response {
    error_response(StatusCode::SERVICE_UNAVAILABLE, &Refusal::Busy.to_string(), &Refusal::Busy.advice())
}

/// A body that is longer than so many bytes.
pub(super) struct TooLong(pub(super) usize);

impl IntoResponse for TooLong {
    fn into_response(self) -> Response {
        let error = format!("the body is longer than the {} bytes that are taken here", self.0);
        error_response(StatusCode::PAYLOAD_TOO_LARGE, &error, "split it, and send the parts one by one")
    }
}

fn error_response(code: StatusCode, error: &str, advice: &str) -> Response {
    // Both may quote what was sent, and not every reader is our own command line.
    let (error, advice) = (plain(error), plain(advice));
    let mut response = (code, Json(Problem { advice: advice.into(), error: error.into() })).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

/// The longest refusal of the framework's that is kept.
const LONGEST: usize = 4096;

/// A refusal of the framework's own (path, query, method, time, panic) is plain text or nothing: the text becomes the error, and
/// the headers stay.
pub(super) async fn in_words(response: Response) -> Response {
    let code = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(code.is_client_error() || code.is_server_error()) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (error, advice) = framework(code, &text);
    let mut answer = error_response(code, error, advice);
    if let Some(allowed) = head.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    answer
}

fn framework(code: StatusCode, text: &str) -> (&str, &'static str) {
    match code {
        StatusCode::NOT_FOUND => ("this path is not known", "see `evc --help`, or EVE's device API v2"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("this path is not called by that method", "use a method that `Allow` names")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("the request took too long", "try again in 5 s"),
        code if code.is_server_error() => ("the controller failed", "see the controller's log"),
        _ if text.is_empty() => {
            ("the request is not what it should be", "correct the request, and send it again")
        }
        _ => (text, "correct the request, and send it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_took_too_long_is_told_when_to_come_back() {
        let answer = in_words(StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
        assert_eq!(answer.headers()[header::RETRY_AFTER], "5");
        let body = to_bytes(answer.into_body(), LONGEST).await.expect("short");
        let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(told["error"], "the request took too long");
        assert_eq!(told["advice"], "try again in 5 s");
    }

    #[tokio::test]
    async fn what_is_said_already_stays_as_it_is() {
        let refusal = Refusal::NotFound { what: "device `x`".into(), advice: "look".into() };
        let body = to_bytes(in_words(refusal.into_response()).await.into_body(), LONGEST).await;
        assert_eq!(body.expect("short"), r#"{"advice":"look","error":"device `x` is not known"}"#);
        let good = in_words((StatusCode::OK, "text").into_response()).await;
        assert_eq!(to_bytes(good.into_body(), LONGEST).await.expect("short"), "text");
    }
}
