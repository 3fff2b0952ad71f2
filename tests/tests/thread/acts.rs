//! Everything at once on the real programs: policies, rotations, removals, locks, agents that are killed, power that is cut, a controller that goes and
//! comes. The long form alone, `cargo xtask soak acts`: what each act does by itself, the other tests have.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use eve_vault_tests::Scene;
use testkit::node::Power;

use super::{BOTH, CONTROLLER, TPM};

const VAULTS: [&str; 4] = ["anna", "bert", "carl", "dora"];
const FIELDS: [&str; 4] = [TPM, "custody: tpm\nseal: pcrs", CONTROLLER, BOTH];
const AT_ONCE: &str = "custody: tpm\non_removal: { delete_after: 0s }";
/// Acts in one life.
const ACTS: u32 = 100;

/// Numbers of a seed: an act that went wrong is done again by it.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A node, its controller, and whether that is there.
struct Life {
    scene: Scene,
    drawn: Drawn,
    is_up: bool,
    removed: usize,
}

impl Life {
    fn begun(seed: u64) -> Result<Self> {
        let mut scene = Scene::attested()?;
        VAULTS
            .into_iter()
            .zip(FIELDS)
            .try_for_each(|(vault, fields)| scene.vault_with_data(vault, fields))?;
        Ok(Self { scene, drawn: Drawn(seed), is_up: true, removed: 0 })
    }

    /// One act. A refusal is an answer as good as any.
    fn act(&mut self) -> Result<()> {
        let (vault, fields) = (VAULTS[self.drawn.below(4)], FIELDS[self.drawn.below(4)]);
        match self.drawn.below(14) {
            0..=2 if self.is_up => self.scene.apply(vault, fields).map(drop),
            3 | 4 if self.is_up => self.scene.order_rotation(vault),
            5 | 6 if self.is_up => self.come_and_go(),
            7 => self.scene.kill("vaultmgr").map(drop),
            8 => self.scene.kill(["tpmmgr", "zedagent"][self.drawn.below(2)]).map(drop),
            9 | 10 => self.scene.node.reboot(Power::Cut),
            11 => self.turn(),
            12 => self.scene.node.run(&["vault", "lock", vault]).map(drop),
            13 => self.scene.node.run(&["vault", "unlock", vault]).map(drop),
            _ => Ok(()),
        }
    }

    /// A vault that is removed at once is what ends generations.
    fn come_and_go(&mut self) -> Result<()> {
        self.removed += 1;
        let name = format!("extra{}", self.removed);
        self.scene.apply(&name, AT_ONCE)?;
        self.scene.delete(&name)
    }

    fn turn(&mut self) -> Result<()> {
        self.is_up = !self.is_up;
        if self.is_up { self.scene.evc.start() } else { self.scene.evc.stop() }
    }

    /// Vaults that are not as they were, once all is well again.
    fn lost(&mut self) -> Result<Vec<String>> {
        if !self.is_up {
            self.turn()?;
        }
        VAULTS.into_iter().try_for_each(|vault| self.scene.apply(vault, TPM).map(drop))?;
        self.scene.node.reboot(Power::Clean)?;
        let mut lost = Vec::new();
        for vault in VAULTS {
            let opened = self.scene.node.until_vault(vault, "unlocked");
            if opened.is_err() || !self.scene.has_data(vault) {
                lost.push(format!("{vault}: {:?}", self.scene.node.vault(vault)));
            }
        }
        Ok(lost)
    }
}

/// Invariants 4 and 6: whatever is done in whatever order, no vault that nobody removed loses what is in it.
#[test]
#[ignore = "the long form: minutes for each life"]
fn whatever_is_done_no_vault_is_lost() {
    let lives = std::env::var("EVE_VAULT_LIVES").map_or(1, |lives| lives.parse().unwrap());
    for seed in 1..=lives {
        let mut life = Life::begun(seed).unwrap();
        let mut refused = 0;
        for _ in 0..ACTS {
            refused += u32::from(life.act().is_err());
            sleep(Duration::from_millis([20, 200, 700, 1500, 4000][life.drawn.below(5)]));
        }
        assert_eq!(life.lost().unwrap(), [""; 0], "seed {seed}");
        println!("life {seed}: {ACTS} acts, {refused} of them refused");
    }
}
