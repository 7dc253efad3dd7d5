//! What is known of a platform's claims: their type, and what they can prove.

/// The JSON type that the platform writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list, which no matcher equals.
    List,
    /// An object; matchers reach into it by JSON Pointer.
    Object,
}

/// What a claim can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Given once and never to somebody else: it identifies.
    Id,
    /// Can be given up, and then be taken by somebody else.
    Name,
    /// Says where, when or how something ran. It narrows but identifies nobody.
    Context,
    /// Chosen freely by whoever asks for the token: it proves nothing.
    Chosen,
}

/// One claim of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimFact {
    /// Its name, or a JSON Pointer.
    pub path: &'static str,
    /// Its type.
    pub shape: Shape,
    /// What it proves.
    pub nature: Nature,
    /// What it looks like, as JSON.
    pub example: &'static str,
}

impl Shape {
    /// What it is, for sentences.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

impl ClaimFact {
    pub(super) const fn id(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Id, example }
    }

    pub(super) const fn name(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Name, example }
    }

    pub(super) const fn context(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Context, example }
    }

    pub(super) const fn of(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    pub(super) const fn chosen(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Object, nature: Nature::Chosen, example }
    }

    /// Whether `path` names it or lies in it.
    pub fn covers(&self, path: &str) -> bool {
        let pointer = |name: &str| if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let (whole, asked) = (pointer(self.path), pointer(path));
        let inside = || self.shape == Shape::Object && asked.strip_prefix(&whole).is_some_and(|rest| rest.starts_with('/'));
        asked == whole || inside()
    }
}
