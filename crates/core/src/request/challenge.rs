//! Challenges of CAs.

request!(/// What a token of a CA's is answered with, if it is. Needs no credentials: the CA has none.
    FindChallenge {
        /// The token.
        pub token: String,
    } -> Option<String>, "challenge.find.v1", "Challenge retrieval");
