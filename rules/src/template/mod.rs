//! Go templates of labels and annotations.
