//! How a device registers, and how it asks who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use vault::ids::DeviceId;

use crate::cert::{Certificate, CertificateError};
use crate::error::DecodeError;
use crate::limits::{MAX_TEXT, at_most, decode, text};
use crate::pb;

/// A registration: the payload that the onboarding key signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    device_pem: Vec<u8>,
    serial: String,
    soft_serial: String,
    certificate: Certificate,
}

/// Why a registration can't be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The message.
    #[error("not a registration")]
    Decode(#[from] DecodeError),
    /// The device's certificate in it.
    #[error("the device's certificate is not readable")]
    Certificate(#[from] CertificateError),
}

impl Register {
    /// Makes a registration. `device_pem` is the device certificate's file, whole; serials have at most 256 bytes, one of the two
    /// may be empty; a soft serial has letters, digits, `_` and `-` only.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn new(device_pem: &[u8], serial: &str, soft_serial: &str) -> Result<Self, RegisterError> {
        let serial = text("serial", serial.to_owned(), MAX_TEXT)?;
        let soft_serial = text("softSerial", soft_serial.to_owned(), MAX_TEXT)?;
        let soft = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !soft_serial.chars().all(soft) {
            return Err(DecodeError::Invalid {
                field: "softSerial",
                why: "has other characters than A-Z a-z 0-9 _ -",
            }
            .into());
        }
        if serial.is_empty() && soft_serial.is_empty() {
            return Err(DecodeError::Missing { field: "serial" }.into());
        }
        let certificate = Certificate::from_pem(device_pem)?;
        Ok(Self { device_pem: device_pem.to_vec(), serial, soft_serial, certificate })
    }

    /// The device's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
    /// The device certificate's file.
    #[must_use]
    pub fn device_pem(&self) -> &[u8] {
        &self.device_pem
    }
    /// The hardware's serial number; may be empty when there is a soft one.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }
    /// The installer's serial number; may be empty.
    #[must_use]
    pub fn soft_serial(&self) -> &str {
        &self.soft_serial
    }

    /// Its bytes: the payload of [`crate::envelope::seal_registration`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = pb::register::ZRegisterMsg {
            pem_cert: STANDARD.encode(&self.device_pem).into_bytes(),
            serial: self.serial.clone(),
            soft_serial: self.soft_serial.clone(),
        };
        message.encode_to_vec()
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`RegisterError`]: the peer's fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, RegisterError> {
        let message: pb::register::ZRegisterMsg = decode(bytes)?;
        at_most("pemCert", message.pem_cert.len(), MAX_PEM_CERT)?;
        let pem = STANDARD.decode(&message.pem_cert);
        let pem = pem.map_err(|_| DecodeError::Invalid { field: "pemCert", why: "is not base64" })?;
        Self::new(&pem, &message.serial, &message.soft_serial)
    }
}

/// The bound that EVE's own message has.
const MAX_PEM_CERT: usize = 10240;

/// The payload of a request to `/uuid`: empty.
#[must_use]
pub fn uuid_request() -> Vec<u8> {
    pb::uuid::UuidRequest {}.encode_to_vec()
}

/// Reads the payload of a request to `/uuid`. Fields of a newer peer are ignored.
///
/// # Errors
/// [`DecodeError`]: the peer's fault.
pub fn decode_uuid_request(bytes: &[u8]) -> Result<(), DecodeError> {
    decode::<pb::uuid::UuidRequest>(bytes).map(|_| ())
}

/// The answer of `/uuid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UuidResponse {
    /// Who the device is.
    pub device: DeviceId,
    /// With `product_name`, overrides the hardware model; may be empty.
    pub manufacturer: String,
    /// With `manufacturer`, overrides the hardware model; may be empty.
    pub product_name: String,
}

impl UuidResponse {
    /// Its bytes; the payload of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = pb::uuid::UuidResponse {
            uuid: self.device.to_string(),
            manufacturer: self.manufacturer.clone(),
            product_name: self.product_name.clone(),
        };
        message.encode_to_vec()
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: ask again later.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: pb::uuid::UuidResponse = decode(bytes)?;
        let device = message.uuid.parse::<DeviceId>().ok().filter(|device| !device.0.is_nil());
        Ok(Self {
            device: device.ok_or(DecodeError::Invalid { field: "uuid", why: "is no UUID" })?,
            manufacturer: text("manufacturer", message.manufacturer, MAX_TEXT)?,
            product_name: text("product_name", message.product_name, MAX_TEXT)?,
        })
    }
}
