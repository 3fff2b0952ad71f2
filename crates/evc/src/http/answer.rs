//! A refusal as it is answered: one mapping for devices and operators, from who must act to what is sent; and the same for what the
//! framework refuses by itself. What a refusal is called, [`code`] says.

use axum::Json;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::Level;
use vault::text::{plain, without_middle};

use super::code::code;
use super::log::Reason;
use crate::api::{Code, Problem, TextPosition};
use crate::service::Refusal;
use crate::store::StoreError;
use crate::words::Words;
use crate::words::damaged::of_row;

/// What is logged of it: what is ours to mend with its causes; a caller's own mistakes are not errors of ours.
fn reason(refusal: &Refusal) -> Reason {
    let (level, words) = match refusal {
        Refusal::Custody(_) | Refusal::Store(_) | Refusal::Fault(_) => {
            (Level::ERROR, crate::service::chain(refusal))
        }
        // Whoever sends more than his share would fill the log.
        Refusal::Busy => (Level::DEBUG, refusal.to_string()),
        other => (Level::INFO, other.to_string()),
    };
    Reason { level, code: code(refusal), words, proved: refusal.is_of_proved_sender() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = error_response(status(&self), problem(&self));
        response.extensions_mut().insert(reason(&self));
        if let Self::Store(StoreError::Damaged(what)) = self {
            response.extensions_mut().insert(DamagedRow(what));
        }
        response
    }
}

/// A row that the answer depended on. Who is no operator is not told which.
#[derive(Clone)]
struct DamagedRow(String);

/// The same answer, with what operators alone are told.
pub(super) fn to_operator(response: Response) -> Response {
    let Some(DamagedRow(what)) = response.extensions().get().cloned() else { return response };
    let Words { problem: error, advice } = of_row(&what);
    let problem = Problem { advice, code: Code::DatabaseDamaged, error, place: None };
    let mut full = error_response(response.status(), problem);
    full.extensions_mut().extend(response.into_parts().0.extensions);
    full
}

/// A document that can't be met makes its file a bad one, whatever it is that stands in its way.
fn status(refusal: &Refusal) -> StatusCode {
    let code = match refusal {
        Refusal::Document { .. } => Code::FileInvalid,
        other => code(other),
    };
    StatusCode::from_u16(code.status()).expect("a code has a status of HTTP's")
}

fn problem(refusal: &Refusal) -> Problem {
    let Words { problem, advice } = refusal.into();
    Problem { advice, code: code(refusal), error: problem, place: place(refusal) }
}

fn place(refusal: &Refusal) -> Option<TextPosition> {
    let (line, column) = match refusal {
        Refusal::Document { line, column, .. } => (*line, *column),
        Refusal::File(file) => (file.line, file.column),
        _ => return None,
    };
    (line > 0).then_some(TextPosition { line, column })
}

/// Busy, for what is not worth a line of the log each.
pub(super) fn busy() -> Response {
    error_response(status(&Refusal::Busy), problem(&Refusal::Busy))
}

fn error_response(status: StatusCode, Problem { advice, code, error, place }: Problem) -> Response {
    // Both may quote what was sent, and not every reader is our own command line.
    let sentence = |text: &str| without_middle(&plain(text), SENTENCE).into_owned();
    let problem = Problem { advice: sentence(&advice), code, error: sentence(&error), place };
    let mut response = (status, Json(problem)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

/// Longest error, and longest advice, in bytes.
const SENTENCE: usize = 2048;

/// The longest refusal of the framework's that is kept.
const LONGEST: usize = 4096;

/// A refusal of the framework's own (path, query, method, time, panic) is plain text or nothing: the text becomes the error, and
/// the headers stay.
pub(super) async fn in_words(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut answer = error_response(status, framework(status, &text));
    if let Some(allowed) = head.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    answer
}

fn framework(status: StatusCode, text: &str) -> Problem {
    let (code, error, advice) = match status {
        StatusCode::NOT_FOUND => {
            (Code::PathUnknown, "this path is not known", "see `evc --help`, or EVE's device API v2")
        }
        StatusCode::METHOD_NOT_ALLOWED => (
            Code::MethodNotAllowed,
            "this path is not called by that method",
            "use a method that `Allow` names",
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            (Code::TookTooLong, "the request took too long", "try again in 5 s")
        }
        status if status.is_server_error() => {
            (Code::Failed, "the controller failed", "see the controller's log")
        }
        _ if text.is_empty() => (
            Code::RequestUnreadable,
            "the request is not what it should be",
            "correct the request, and send it again",
        ),
        _ => (Code::RequestUnreadable, text, "correct the request, and send it again"),
    };
    Problem { advice: advice.into(), code, error: error.into(), place: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Unknown;

    #[tokio::test]
    async fn a_request_that_took_too_long_is_told_when_to_come_back() {
        let answer = in_words(StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
        assert_eq!(answer.headers()[header::RETRY_AFTER], "5");
        let body = to_bytes(answer.into_body(), LONGEST).await.expect("short");
        let told: Problem = serde_json::from_slice(&body).expect("a problem");
        assert_eq!((told.code, &*told.error), (Code::TookTooLong, "the request took too long"));
        assert_eq!(told.advice, "try again in 5 s");
    }

    #[tokio::test]
    async fn what_is_said_already_stays_as_it_is() {
        let refusal = Refusal::from(Unknown::Device { which: "x".into() });
        let body = to_bytes(in_words(refusal.into_response()).await.into_body(), LONGEST).await;
        let told = r#"{"advice":"`evc get devices` lists those that have registered","code":"device-unknown","error":"device `x` is not known"}"#;
        assert_eq!(body.expect("short"), told);
        let good = in_words((StatusCode::OK, "text").into_response()).await;
        assert_eq!(to_bytes(good.into_body(), LONGEST).await.expect("short"), "text");
    }
}
