//! A courier's files, as operators give and take them. Who is known in another project is not known here.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vault::ids::Name;
use vault::section::Release;

use super::Operator;
use crate::api::CourierFile;
use crate::fleet::evidence::Came;
use crate::service::{BadRequest, COURIER_LIFE_S, CarriedAnswer, Refusal, Unknown, find_device};
use crate::store::UnixSeconds;

impl Operator {
    /// An answer for a device, with a challenge that is good for so many seconds.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn export(
        &self,
        device: &str,
        good_for_s: Option<u32>,
        now: UnixSeconds,
    ) -> Result<CourierFile, Refusal> {
        let (least, most, usual) = COURIER_LIFE_S;
        let life_s = good_for_s.unwrap_or(usual);
        if !(least..=most).contains(&life_s) {
            return Err(BadRequest::CourierLife.into());
        }
        let row = self.store.read(|tx| Box::pin(find_device(tx, &self.project, device))).await?;
        let carried = self.carry(row.id, life_s, now).await?;
        Ok(shown(row.name, &carried))
    }

    /// Takes what a device sent by a courier, and gives the answer.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn import(
        &self,
        file: &str,
        from: Option<IpAddr>,
        now: UnixSeconds,
    ) -> Result<CourierFile, Refusal> {
        let file = STANDARD.decode(file).map_err(|_| BadRequest::CourierText)?;
        let sent = self.sent(&file).await?;
        let row = &sent.device;
        if row.project != self.project {
            return Err(Unknown::Device { which: row.id.to_string() }.into());
        }
        let name = row.name.clone();
        let carried = self.take_sent(sent, Came { at: now, from, by_courier: true }).await?;
        Ok(shown(name, &carried))
    }
}

fn shown(device_name: Name, carried: &CarriedAnswer) -> CourierFile {
    let config = carried.response.config.as_ref();
    let section = config.and_then(|config| config.section().ok().flatten());
    let control = carried.response.control.as_ref();
    let keys = |release: &Release| matches!(release, Release::Keys { .. });
    CourierFile {
        device: control.map(|control| control.device),
        device_name,
        session: carried.session.map(|session| hex::encode(&session.0[..4])),
        section: section.map(|section| section.version.version),
        releases: section.map_or(0, |it| it.vaults.iter().filter(|vault| keys(&vault.release)).count()),
        orders: control.map_or(0, |control| control.orders.len()),
        lacks: control.map(|control| control.lacks.clone()).filter(|lacks| !lacks.is_empty()),
        lost: carried.lost,
        again: carried.again,
        answer_until: crate::clock::text(carried.until),
        file: STANDARD.encode(&carried.file),
    }
}
