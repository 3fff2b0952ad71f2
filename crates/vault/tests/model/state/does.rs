//! What happens, on the way, at the node and at the controller.

use vault::belief::Said;
use vault::section::{Operation, Release};

use super::{Action, MOST_ANSWERS, Request, Scenario, State, USER, session};
use crate::controller::Reply;
use crate::guards::Guard;
use crate::world::seams::NewLife;

impl State {
    pub(super) fn happen(&mut self, action: Action, scenario: &Scenario) {
        match action {
            Action::Ask => {
                self.request = Some(Request { word: self.node.word(), has: self.has, heard: false })
            }
            Action::Hear => self.hear(scenario, false),
            Action::HearAgain => {
                self.left.repeats -= 1;
                self.hear(scenario, true);
            }
            Action::KeepRequest => self.old = self.request.as_ref().map(|request| request.word.clone()),
            Action::SendAgain => {
                self.left.polls -= 1;
                let Some(old) = self.old.clone() else { return };
                let by = (&scenario.appraised, scenario.without);
                // Whoever sends it has the answer.
                drop(self.controller.hear(&old, None, false, by));
            }
            Action::MovesOut => {
                self.left.moves_out -= 1;
                self.controller.moves_out(self.node.word().head);
            }
            Action::Forgets => {
                self.left.forgets -= 1;
                self.controller.forgets(self.node.word().head);
            }
            Action::LoseRequest => (self.request, self.left.losses) = (None, self.left.losses - 1),
            Action::Answer(nth) => {
                self.left.reorders -= u8::from(nth > 0);
                let reply = self.answers.remove(nth);
                self.answered(reply, scenario.without);
            }
            Action::AnswerAgain(nth) => {
                self.left.repeats -= 1;
                self.answered(self.answers[nth].clone(), scenario.without);
            }
            Action::LoseAnswer(nth) => {
                self.left.losses -= 1;
                drop(self.answers.remove(nth));
            }
            at_the_node @ (Action::Step
            | Action::Cut { .. }
            | Action::Unread
            | Action::RecordOpens
            | Action::LivesAnew
            | Action::LoseRecord
            | Action::Boot { .. }
            | Action::TakeImage
            | Action::PutImageBack) => self.happen_at_node(at_the_node),
            at_the_controller => self.happen_at_controller(at_the_controller, scenario.without),
        }
    }

    pub(super) fn hear(&mut self, scenario: &Scenario, again: bool) {
        let Some(request) = self.request.take() else { return };
        let by = (&scenario.appraised, scenario.without);
        let reply = self.controller.hear(&request.word, request.has, !request.heard, by);
        self.answers.extend(reply.filter(|_| self.answers.len() < MOST_ANSWERS));
        self.request = again.then_some(Request { heard: true, ..request });
    }

    /// An answer to an earlier life of vaultmgr's is told by what is in it alone.
    pub(super) fn answered(&mut self, mut reply: Reply, without: Option<Guard>) {
        self.has = Some(reply.hash);
        if without == Some(Guard::Follows)
            && let Said::Section(section, _) = &mut reply.answer.said
        {
            section.follows = self.node.head_on_disk();
        }
        if without == Some(Guard::Absence)
            && let Said::Section(section, _) = &mut reply.answer.said
            && section
                .vaults
                .iter()
                .all(|entry| entry.release == Release::NotNeeded || entry.operation == Operation::Lock)
        {
            section.vaults.clear();
            section.removed = vec![USER];
        }
        self.node.answered(&reply.answer);
        if let Said::Section(_, digest) = &reply.answer.said
            && self.node.head_on_disk() == Some(*digest)
        {
            self.memory.words_heard = reply.words;
        }
    }

    pub(super) fn live_again(&mut self, life: NewLife) {
        self.lives += 1;
        self.has = None;
        self.node.live_again(session(self.lives), life);
    }

    pub(super) fn happen_at_node(&mut self, action: Action) {
        match action {
            Action::Step => drop(self.node.step_on(usize::MAX)),
            Action::Cut { parts, booted } => {
                self.left.cuts -= 1;
                if parts > 0 {
                    self.node.step_on(parts);
                }
                self.live_again(if booted {
                    NewLife::Booted { measured: self.node.is_measured() }
                } else {
                    NewLife::Killed
                });
            }
            Action::Unread => {
                self.left.unread -= 1;
                self.live_again(NewLife::Unread);
            }
            Action::LivesAnew => {
                self.memory.anew = true;
                self.live_again(NewLife::Unread);
            }
            Action::RecordOpens => drop(self.node.opens_record()),
            Action::LoseRecord => {
                self.left.records -= 1;
                self.lives += 1;
                self.has = None;
                self.node.lose_record(session(self.lives));
            }
            Action::Boot { measured } => {
                self.left.unmeasured -= u8::from(!measured);
                self.live_again(NewLife::Booted { measured });
            }
            Action::TakeImage => {
                self.image = self.node.image().map(|image| Box::new((image, self.memory.words_heard)));
            }
            Action::PutImageBack => self.put_image_back(),
            _ => {}
        }
    }

    pub(super) fn put_image_back(&mut self) {
        let Some((image, words_heard)) = self.image.take().map(|image| *image) else { return };
        self.left.images -= 1;
        self.lives += 1;
        self.has = None;
        self.node.put_back(image, session(self.lives));
        self.memory.words_heard = words_heard;
        self.forget_words();
        (self.memory.written, self.memory.older_disk) = (self.node.has_data(), true);
    }

    /// What neither the database nor the node knows of any more is as if it had never been said.
    fn forget_words(&mut self) {
        let known = self.controller.words.max(self.memory.words_heard);
        self.memory.unwanted = self.memory.said[usize::from(known)];
    }

    pub(super) fn happen_at_controller(&mut self, action: Action, without: Option<Guard>) {
        let Self { node, controller, left, memory, .. } = self;
        match action {
            Action::ControllerRestarts => {
                left.controller_restarts -= 1;
                (self.request, self.answers) = (None, Vec::new());
                controller.restarts();
            }
            Action::CopyDatabase => self.database = Some(Box::new(controller.clone())),
            Action::PutDatabaseBack => {
                left.databases -= 1;
                memory.older_database = true;
                *controller = *self.database.take().expect("it was copied");
                controller.restarts();
                self.forget_words();
            }
            Action::BeginAnew => {
                self.incarnations += 1;
                controller.begin_anew(self.incarnations);
                memory.unwanted = false;
                memory.said[usize::from(controller.words)] = false;
            }
            Action::Rotate { force } => {
                if force {
                    left.forced -= 1
                } else {
                    left.rotations -= 1
                }
                memory.forced |= force;
                self.keys += u32::from(
                    controller.rotate(force || without == Some(Guard::RotationWaits), self.keys + 1),
                );
            }
            Action::Delete => {
                left.deletions -= 1;
                memory.unwanted |= controller.delete();
                memory.said[usize::from(controller.words)] = memory.unwanted;
            }
            Action::Retain => {
                left.retains -= 1;
                memory.unwanted &= !controller.retain();
                memory.said[usize::from(controller.words)] = memory.unwanted;
            }
            Action::Undo => {
                left.undos -= 1;
                memory.unwanted &= !controller.undo();
                memory.said[usize::from(controller.words)] = memory.unwanted;
            }
            Action::GraceEnds => {
                let ended = controller.end_grace();
                let ahead =
                    controller.shown && node.word().head.is_some_and(|head| controller.is_behind(head));
                assert!(!ended || !ahead, "a grace ends though its node showed that it is ahead");
                memory.ended |= ended && memory.unwanted;
            }
            Action::Turn(door) => (left.doors, controller.policy.operation) = (left.doors - 1, door),
            Action::Lost => (left.losts, controller.lost) = (left.losts - 1, true),
            Action::Apply(custody) => {
                left.custodies -= 1;
                controller.policy.node.custody = custody;
            }
            _ => {}
        }
    }
}
