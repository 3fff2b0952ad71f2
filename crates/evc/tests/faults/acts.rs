//! A request, what it is one of, and the answer when nothing fails.

use evc::api::calls::Method;
use wire::attest::AttestRequest;

use super::common::{Answer, Evc};

/// A request.
pub(crate) struct Act {
    pub(crate) name: String,
    pub(crate) of: Of,
    pub(crate) good: u16,
    /// It is done in more than one commit: what it is answered when it is said again after a part of it was kept.
    pub(crate) in_parts: Option<u16>,
    pub(crate) say: Box<dyn Fn(&Evc) -> Answer>,
}

/// What an act is one of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A call of an operator's, by its path under `/api/v1`.
    Call(Method, String),
    /// A message of a device's.
    Message(Message),
    /// What the controller does by itself.
    House,
}

/// The kinds of messages that devices send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Register,
    Uuid,
    Poll,
    /// A poll that asks a bundle back.
    AskingBack,
    Certs,
    Nonce,
    Evidence,
    Bundle,
    Info,
    /// A report with the answer to a drill.
    DrillAnswer,
}

impl Message {
    pub(crate) const ALL: [Self; 10] = [
        Self::Register,
        Self::Uuid,
        Self::Poll,
        Self::AskingBack,
        Self::Certs,
        Self::Nonce,
        Self::Evidence,
        Self::Bundle,
        Self::Info,
        Self::DrillAnswer,
    ];

    /// A kind of request that is new here needs a kind of its own.
    pub(crate) fn of(request: &AttestRequest) -> Self {
        match request {
            AttestRequest::Certs(_) => Self::Certs,
            AttestRequest::Nonce => Self::Nonce,
            AttestRequest::Quote(_) => Self::Evidence,
            AttestRequest::StoreKeys(_) => Self::Bundle,
        }
    }
}

impl Of {
    /// Whether it is this call of the table, whatever its parts are.
    pub(crate) fn is(&self, (how, template): (Method, &str)) -> bool {
        let Self::Call(method, path) = self else { return false };
        let path = path.split('?').next().unwrap_or_default();
        let (parts, named): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        let fits = |(part, name): (&&str, &&str)| part == name || (name.starts_with('{') && !part.is_empty());
        *method == how && parts.len() == named.len() && parts.iter().zip(&named).all(fits)
    }
}

impl Act {
    /// What an operator asks.
    pub(crate) fn call(method: Method, path: impl Into<String>, body: impl Into<String>) -> Self {
        let (path, body) = (path.into(), body.into());
        let word = match method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let (name, of) = (format!("{word} {path}"), Of::Call(method, path.clone()));
        let say = move |evc: &Evc| evc.operator(word, &path, &body, Some(&evc.token));
        Self { name, of, good: 200, in_parts: None, say: Box::new(say) }
    }

    /// What a device sends.
    pub(crate) fn message(
        (name, good): (&str, u16),
        kind: Message,
        (path, body): (impl Into<String>, Vec<u8>),
    ) -> Self {
        let path = path.into();
        let say = move |evc: &Evc| evc.post(&path, &body);
        Self { name: name.to_owned(), of: Of::Message(kind), good, in_parts: None, say: Box::new(say) }
    }
}
