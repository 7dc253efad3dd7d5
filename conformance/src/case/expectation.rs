//! Expectations: `expect STATUS [SHAPE]` and, indented under it, `PLACE OP VALUE`.

use super::Template;

/// An expectation: status, shape and rules of an answer.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Line of the `expect`.
    pub line: usize,
    /// Any of these status codes.
    pub statuses: Vec<u16>,
    /// A whole set of rules that the answer must keep.
    pub shape: Shape,
    /// For how many seconds the request is sent again until everything holds; 0 when it must at once.
    pub within: u64,
    /// Further rules, one per line.
    pub checks: Vec<Check>,
}

/// A whole set of rules with one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Any,
    /// A successful token response (RFC 8693 §2.2.1).
    Token,
    /// A token by another grant than token exchange.
    Granted,
    /// An error response (RFC 6749 §5.2) with one of these codes.
    Error(Vec<String>),
    /// A JSON object without `null` members.
    Json,
    /// `active` is false and no other member is there (RFC 7662 §2.2).
    Inactive,
    /// A status list as a signed token (draft-ietf-oauth-status-list-21 §5.1).
    StatusList,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Check {
    /// Line in the file.
    pub line: usize,
    /// The place that the rule is about.
    pub place: Place,
    /// How.
    pub op: Op,
    /// Compared with what.
    pub value: Option<Template>,
}

/// A part of an answer, or of the token in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `header.NAME`: a response header.
    Header(String),
    /// `body`, or a member of the JSON body: `body.error`.
    Body(Vec<String>),
    /// A claim of the issued access token: `claims.act.sub`.
    Claims(Vec<String>),
    /// A member of its JOSE header: `jose.alg`.
    Jose(Vec<String>),
    /// A member of the published key that verified it: `key.use`.
    Key(Vec<String>),
    /// `payload`: the issued token's payload as text, exactly as signed.
    Payload,
    /// `status.INDEX`: what a status list says at that place.
    Status(Template),
}

/// How an expectation compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal as JSON.
    Equal,
    /// Present, and not equal.
    NotEqual,
    /// A number not above.
    AtMost,
    /// A number not below.
    AtLeast,
    /// There.
    Present,
    /// Not there.
    Absent,
    /// A text with this part, or an array with this element.
    Contains,
    /// A text without this part, or an array without this element.
    Lacks,
    /// Equal sets of space-delimited names.
    Scopes,
    /// Of this JSON type: string, integer, number, boolean, array or object.
    Is,
}

const OPS: [(&str, Op, bool); 10] = [
    ("==", Op::Equal, true),
    ("!=", Op::NotEqual, true),
    ("<=", Op::AtMost, true),
    (">=", Op::AtLeast, true),
    ("present", Op::Present, false),
    ("absent", Op::Absent, false),
    ("contains", Op::Contains, true),
    ("lacks", Op::Lacks, true),
    ("scopes", Op::Scopes, true),
    ("is", Op::Is, true),
];

const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];

impl Expect {
    /// Parses what stands behind `expect`.
    pub(super) fn parse(line: usize, text: &str) -> Result<Self, String> {
        let (text, within) = match text.split_once(" within ") {
            Some((text, seconds)) => {
                (text, seconds.trim().parse().ok().filter(|seconds| (1..=30).contains(seconds)).ok_or("within 1 to 30 seconds")?)
            }
            None => (text, 0),
        };
        let mut words = text.split_whitespace();
        let statuses = words.next().ok_or("expect needs a status")?.split(',').map(status).collect::<Result<_, _>>()?;
        let shape = match (words.next(), words.next()) {
            (None, _) => Shape::Any,
            (Some("token"), None) => Shape::Token,
            (Some("granted"), None) => Shape::Granted,
            (Some("json"), None) => Shape::Json,
            (Some("inactive"), None) => Shape::Inactive,
            (Some("status-list"), None) => Shape::StatusList,
            (Some("error"), Some(codes)) => Shape::Error(codes.split(',').map(str::to_owned).collect()),
            _ => return Err("after the status stands nothing, token, json, inactive, status-list, or error CODE".to_owned()),
        };
        match words.next() {
            None => Ok(Self { line, statuses, shape, within, checks: Vec::new() }),
            Some(more) => Err(format!("{more} is one word too many")),
        }
    }
}

fn status(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|status| (100..600).contains(status)).ok_or_else(|| format!("{text} is not an HTTP status"))
}

impl Check {
    /// Parses one indented line.
    pub(super) fn parse(line: usize, text: &str) -> Result<Self, String> {
        let (place, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let (op, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let known = OPS.iter().find(|(name, _, _)| *name == op);
        let (_, op, takes_value) = known.ok_or_else(|| format!("there is no comparison {op:?}"))?;
        let value = value.trim();
        if value.is_empty() == *takes_value {
            return Err(format!("{rest:?} has {} value", if *takes_value { "no" } else { "a needless" }));
        }
        if *op == Op::Is && !TYPES.contains(&value) {
            return Err(format!("{value} is none of {}", TYPES.join(", ")));
        }
        let value = takes_value.then(|| Template::parse(value)).transpose()?;
        Ok(Self { line, place: Place::parse(place)?, op: *op, value })
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let (root, path) = text.split_once('.').map_or((text, None), |(root, path)| (root, Some(path)));
        let members = || path.map(|path| path.split('.').map(str::to_owned).collect()).unwrap_or_default();
        match (root, path) {
            ("header", Some(name)) => Ok(Self::Header(name.to_ascii_lowercase())),
            ("body", _) => Ok(Self::Body(members())),
            ("claims", _) => Ok(Self::Claims(members())),
            ("jose", Some(_)) => Ok(Self::Jose(members())),
            ("key", Some(_)) => Ok(Self::Key(members())),
            ("payload", None) => Ok(Self::Payload),
            ("status", Some(index)) => Template::parse(index).map(Self::Status),
            _ => Err(format!("there is no place {text}: header.NAME, body, claims, jose.NAME, key.NAME, payload, status.INDEX")),
        }
    }

    /// True where the place is inside an issued token, which must then be a JWT.
    pub fn needs_jwt(&self) -> bool {
        !matches!(self, Self::Header(_) | Self::Body(_))
    }
}
