//! What follows from the rows of the contract.

/// Reads the rows. A topic: `Name: Publisher to [hearers], at most BYTES;`, and in parentheses behind its name what tells a change of a
/// part of it, where the whole is long. A call: `Name: [askers] of Answerer -> Result<ANSWER,
/// ERROR>, at most (QUESTION, ANSWER) bytes;`, and in parentheses behind its name the field with the vault that it is about.
macro_rules! contract {
    (@change) => {
        type Change = Whole;
    };
    (@change $change:ty) => {
        type Change = $change;
    };
    (
        topics {$(
            #[doc = $topic_doc:literal]
            $topic:ident $(($change:ty))?: $publisher:ident to [$($hearer:ident),*], at most $most:expr;
        )*}
        calls {$(
            #[doc = $call_doc:literal]
            $call:ident $(($vault:ident))?: [$($asker:ident),*] of $answerer:ident
                -> Result<$answer:ty, $error:ty>, at most ($question:expr, $reply:expr);
        )*}
    ) => {
        /// A topic: a state that one agent publishes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum TopicId {$(
            #[doc = $topic_doc]
            $topic,
        )*}

        impl TopicId {
            /// All.
            pub const ALL: [Self; [$(stringify!($topic)),*].len()] = [$(Self::$topic),*];

            /// What it is about.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {$(Self::$topic => $topic_doc.trim_ascii(),)*}
            }

            /// Who alone publishes it.
            #[must_use]
            pub fn publisher(self) -> Agent {
                match self {$(Self::$topic => Agent::$publisher,)*}
            }

            /// Which agents hear it.
            #[must_use]
            pub fn hearers(self) -> &'static [Agent] {
                match self {$(Self::$topic => &[$(Agent::$hearer),*],)*}
            }

            /// Longest value, in bytes: no more is published, and none of its hearers takes more.
            #[must_use]
            pub fn most(self) -> usize {
                match self {$(Self::$topic => $most,)*}
            }

            /// Who may hear it. Root on the node hears everything.
            #[must_use]
            pub fn may_hear(self, who: Agent) -> bool {
                who == Agent::Operator || self.hearers().contains(&who)
            }

            /// Goes through all topics by their types.
            pub(crate) fn each(visit: &mut impl EachTopic) {
                $(visit.topic::<$topic>();)*
            }
        }

        $(impl Topic for $topic {
            const ID: TopicId = TopicId::$topic;
            contract!(@change $($change)?);
        })*

        /// A call: a question that one agent answers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum CallId {$(
            #[doc = $call_doc]
            $call,
        )*}

        impl CallId {
            /// All.
            pub const ALL: [Self; [$(stringify!($call)),*].len()] = [$(Self::$call),*];

            /// What is asked.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {$(Self::$call => $call_doc.trim_ascii(),)*}
            }

            /// Who alone answers it.
            #[must_use]
            pub fn answerer(self) -> Agent {
                match self {$(Self::$call => Agent::$answerer,)*}
            }

            /// Who asks.
            #[must_use]
            pub fn askers(self) -> &'static [Agent] {
                match self {$(Self::$call => &[$(Agent::$asker),*],)*}
            }

            /// Who may ask.
            #[must_use]
            pub fn may_ask(self, who: Agent) -> bool {
                self.askers().contains(&who)
            }

            /// Longest question and longest answer, in bytes: no more is taken.
            #[must_use]
            pub fn most(self) -> (usize, usize) {
                match self {$(Self::$call => ($question, $reply),)*}
            }
        }

        $(impl Call for $call {
            const ID: CallId = CallId::$call;
            type Answer = $answer;
            type Error = $error;
            $(fn about(&self) -> Option<VaultId> {
                Some(self.$vault)
            })?
        })*
    };
}
