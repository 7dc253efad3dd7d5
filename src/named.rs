//! Enums whose values have names for machines: in files, answers, metrics and policies.

/// Declares such an enum. Its values have no content, and each has the name that stands behind it.
macro_rules! named {
    ($(#[$meta:meta])* $visibility:vis enum $type:ident { $($(#[$of:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility enum $type { $($(#[$of])* $variant,)+ }

        impl $type {
            /// Every value under its name.
            $visibility const NAMES: [(&'static str, Self); [$($name),+].len()] = [$(($name, Self::$variant)),+];

            /// The name.
            $visibility fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}
