//! Who speaks on the bus. What each may do stands in the table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::table::{Row, VAULTMGR, row_of};

/// Who speaks on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agent {
    /// `eve run`.
    Supervisor,
    /// Interfaces, addresses, location.
    Nim,
    /// Onboarding.
    Client,
    /// The controller's line.
    Zedagent,
    /// The TPM.
    Tpmmgr,
    /// The vaults.
    Vaultmgr,
    /// Root on the node, by the command line.
    Operator,
}

impl Agent {
    /// Those that are processes of their own, in the order of start (AC-6).
    pub const STARTED: [Self; 5] = [Self::Nim, Self::Client, Self::Zedagent, Self::Tpmmgr, Self::Vaultmgr];
    /// The same, in the order of the stop: who asks ends before who answers, for a question that nobody answers is told as a fault.
    pub const STOPPED: [Self; 5] = [Self::Zedagent, Self::Client, Self::Vaultmgr, Self::Tpmmgr, Self::Nim];
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Supervisor,
        Self::Nim,
        Self::Client,
        Self::Zedagent,
        Self::Tpmmgr,
        Self::Vaultmgr,
        Self::Operator,
    ];

    /// Its name: of its socket, its process, its log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Nim => "nim",
            Self::Client => "client",
            Self::Zedagent => "zedagent",
            Self::Tpmmgr => "tpmmgr",
            Self::Vaultmgr => "vaultmgr",
            Self::Operator => "operator",
        }
    }

    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        row_of(self)
    }

    /// Who a process of this user and group is.
    #[must_use]
    pub fn of_ids(uid: u32, gid: u32) -> Option<Self> {
        let started =
            Self::STARTED.into_iter().find(|agent| agent.row().uid == uid && agent.row().gid == gid);
        started.or((uid == 0 && gid != VAULTMGR.gid).then_some(Self::Operator))
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Agent {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|agent| agent.name() == text).ok_or_else(|| format!("no agent {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::CallId;

    /// All that are started are stopped, and each that asks another before that one.
    #[test]
    fn who_asks_is_stopped_before_who_answers() {
        let [mut started, mut stopped] = [Agent::STARTED, Agent::STOPPED];
        [&mut started, &mut stopped].into_iter().for_each(|all| all.sort());
        assert_eq!(started, stopped);
        let place = |agent: Agent| Agent::STOPPED.into_iter().position(|it| it == agent);
        for call in CallId::ALL {
            let (answers, askers) = (call.answerer(), call.askers().iter().copied());
            for asker in askers.filter(|asker| place(*asker).is_some()) {
                assert!(place(asker) < place(answers), "{asker} asks {answers}: {call:?}");
            }
        }
        assert!(place(Agent::Zedagent) < place(Agent::Vaultmgr), "it hears of the vaults, and tells of them");
    }
}
