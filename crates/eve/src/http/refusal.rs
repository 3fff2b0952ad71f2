//! A controller's refusal in words: its own where it gives any, else what the code means among EVE's controllers.

use vault::text::{plain, without_middle};

/// A refusal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(.call, *.status, .said.as_deref()))]
pub(crate) struct Refusal {
    /// The last part of the path that was asked.
    call: String,
    status: u16,
    /// What the controller says of it, and what to do.
    said: Option<String>,
    retry_after_s: Option<u64>,
    /// An operator removed this device there, and its keys with it.
    removed: bool,
}

impl Refusal {
    /// Of an answer with this code. `body` is as it came.
    pub(crate) fn new(call: &str, status: u16, body: &[u8], retry_after_s: Option<u64>) -> Self {
        Self { call: call.to_owned(), status, said: said(body), retry_after_s, removed: removed(body) }
    }

    /// The controller does not know this device, or not by the UUID that it used: it must ask who it is, and register if need be.
    pub(crate) fn unknown_device(&self) -> bool {
        match self.status {
            401 => true,
            // With words of its own a controller has said what is wrong with the message.
            400 | 404 => self.said.is_none(),
            403 => self.said.is_some() && matches!(self.call.as_str(), "config" | "info"),
            _ => false,
        }
    }

    /// The controller had this device, and an operator removed it.
    pub(crate) fn removed_device(&self) -> bool {
        self.removed
    }

    /// Something else may be taken though this was not.
    pub(crate) fn of_this_alone(&self) -> bool {
        self.status != 503 && !self.unknown_device()
    }

    /// When a controller that is overloaded wants to be asked again.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        (self.status == 503).then_some(self.retry_after_s.unwrap_or(5))
    }
}

fn words(call: &str, status: u16, said: Option<&str>) -> String {
    match said {
        Some(said) => format!("the controller refused /{call} ({status}): {said}"),
        None => format!("the controller answered {status} on /{call}: {}", usually(call, status)),
    }
}

/// By the code, which means one thing for ever.
fn removed(body: &[u8]) -> bool {
    let told: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    told.is_some_and(|told| told["code"] == "device-removed")
}

/// `{error, advice}`, each as a sentence of ours quotes it: whatever the first says, the second is read.
fn said(body: &[u8]) -> Option<String> {
    let told: serde_json::Value = serde_json::from_slice(body).ok()?;
    let field = |name: &str| told[name].as_str().map(printable).filter(|text| !text.is_empty());
    let (error, advice) = (field("error")?, field("advice"));
    Some(advice.map_or(error.clone(), |advice| format!("{error}; {advice}")))
}

/// Longest sentence of a controller's, in bytes: both and what is said around them are within what a status carries.
const SENTENCE: usize = 400;

fn printable(text: &str) -> String {
    without_middle(plain(text).trim(), SENTENCE).into_owned()
}

/// What EVE's controllers mean by a code that comes without words.
fn usually(call: &str, status: u16) -> &'static str {
    match (call, status) {
        ("register", 400) => "it does not take this device's certificate",
        ("register", 401) => "the signature of the onboarding key is not good; see config/onboard.key.pem",
        ("register", 403) => {
            "it does not allow this onboarding certificate with this serial; allow it there, and see that the certificate has not expired"
        }
        ("register", 409) => "this serial is another device's already; allow another one there",
        ("config", 403) => "it wants evidence first, which this node gives by itself; see `eve status`",
        (_, 400 | 401 | 404) => {
            "it does not know this device (was it deleted there?): allow its serial there anew"
        }
        (_, 403) => "it does not allow this; see its log",
        (_, 503) => "it is overloaded; it is asked again by itself",
        (_, 500..) => "it failed; see its log",
        _ => "see its log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement IF-2: however long a controller's words are, what to do is read, in `eve status` and at the controller.
    #[test]
    fn long_words_of_a_controller_keep_what_to_do() {
        for filler in ["x", "\u{1b}", "é", "日"] {
            let long = format!("begins {}", filler.repeat(100_000));
            let body = serde_json::json!({ "error": long, "advice": format!("{long} ask your operator") });
            let told = Refusal::new("config", 403, body.to_string().as_bytes(), None).to_string();
            assert!(told.contains("(403): begins ") && told.ends_with(" ask your operator"), "{told}");
            assert!(told.len() < 900, "{} bytes", told.len());
        }
    }

    fn refused(call: &str, status: u16, body: &str) -> Refusal {
        Refusal::new(call, status, body.as_bytes(), None)
    }

    /// Whoever reads a node's status reads what the controller said and advised, and not a guess of ours.
    #[test]
    fn a_controllers_own_words_are_passed_on() {
        let expired =
            r#"{"error":"the onboarding certificate is not valid at this time","advice":"make a new one"}"#;
        let words = refused("register", 403, expired).to_string();
        assert_eq!(
            words,
            "the controller refused /register (403): the onboarding certificate is not valid at this time; make a new one"
        );
        let bare = refused("info", 500, r#"{"error":"the controller's database failed"}"#).to_string();
        assert_eq!(bare, "the controller refused /info (500): the controller's database failed");
    }

    /// Attack A4: a device that was removed is told apart from one that was never known, by the code alone.
    #[test]
    fn a_device_that_was_removed_is_told_so() {
        let removed = r#"{"code":"device-removed","error":"x","advice":"y"}"#;
        assert!(refused("config", 401, removed).removed_device());
        for other in ["", r#"{"code":"device-unregistered","error":"device-removed","advice":"y"}"#] {
            assert!(!refused("config", 401, other).removed_device(), "{other}");
        }
    }

    #[test]
    fn what_is_no_word_of_a_controllers_is_not_printed() {
        for body in ["", "<html>proxy</html>", "[1]", r#"{"error":7}"#, r#"{"error":" "}"#] {
            let words = refused("config", 403, body).to_string();
            assert_eq!(
                words,
                "the controller answered 403 on /config: it wants evidence first, which this node gives by itself; see `eve status`",
                "{body}"
            );
        }
        let painted = refused("config", 403, "{\"error\":\"a\\u001b[31mb\\nc\\u0085\"}").to_string();
        assert!(painted.ends_with(r"): a\u001b[31mb\nc\u0085"), "{painted}");
    }

    /// A device that is not known registers anew; a message that is wrong, or a thing that is not allowed, does not make it.
    #[test]
    fn only_a_device_that_is_not_known_registers_anew() {
        const SAID: &str = r#"{"error":"no","advice":"do"}"#;
        for (call, status, body) in [
            ("config", 401, SAID),
            ("config", 401, ""),
            ("uuid", 400, ""),
            ("config", 404, ""),
            ("config", 403, SAID),
        ] {
            assert!(refused(call, status, body).unknown_device(), "{call} {status} {body}");
        }
        for (call, status, body) in [
            ("config", 400, SAID),
            ("config", 403, ""),
            ("attest", 403, SAID),
            ("uuid", 500, ""),
            ("uuid", 503, SAID),
        ] {
            assert!(!refused(call, status, body).unknown_device(), "{call} {status} {body}");
        }
        assert!(refused("attest", 403, SAID).of_this_alone() && !refused("attest", 503, "").of_this_alone());
    }
}
