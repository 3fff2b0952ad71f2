//! A refusal as a status code: one mapping for devices and operators, from who must act to what is sent.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::{Advice as _, Refusal};

/// The code for a refusal.
pub(super) fn code(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Bad { .. } => StatusCode::BAD_REQUEST,
        Refusal::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
        Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
        Refusal::Conflict { .. } => StatusCode::CONFLICT,
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
        Refusal::Busy => tracing::warn!("refused: busy"),
        other => tracing::info!(reason = %other, "refused"),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        log(&self);
        let body = Json(json!({ "error": self.to_string(), "advice": self.advice() }));
        let mut response = (code(&self), body).into_response();
        if matches!(self, Self::Busy) {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}
