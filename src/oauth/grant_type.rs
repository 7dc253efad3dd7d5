//! The grant types that the token endpoint serves.

named! {
    /// A value of `grant_type` (RFC 6749 §4, §4.5).
    pub enum GrantType {
        /// A token for another (RFC 8693 §2.1).
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
        /// A client for itself (RFC 6749 §4.4).
        ClientCredentials = "client_credentials",
        /// An assertion as a grant (RFC 7523 §2.1).
        JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer",
    }
}
