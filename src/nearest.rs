//! Names that are offered where one was given that nothing has.

/// Similarity, of 1, from which a name passes for another misspelt; clap's own for options.
const ALIKE: f64 = 0.7;
/// How much less alike than the first the others may be.
const MARGIN: f64 = 0.1;
/// Names that are offered at most, where not all are.
const MOST: usize = 5;
/// Names that are all offered, unless some of them are alike.
const FEW: usize = 40;

/// Words for after an unknown name: `did you mean conv2d/forward?` where a few names are alike, else all of them if they are
/// few, else the nearest. For a name without `/`, the part after the last `/` counts as a name, too.
pub fn offer<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let alike = |name: &str| {
        let last = name.rsplit('/').next().filter(|_| !given.contains('/')).unwrap_or(name);
        strsim::jaro(given, name).max(strsim::jaro(given, last))
    };
    let known: Vec<&str> = known.into_iter().collect();
    let mut nearest: Vec<(f64, &str)> = known.iter().map(|name| (alike(name), *name)).collect();
    nearest.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.cmp(other)));
    nearest.dedup();
    let best = nearest.first().map_or(0.0, |(best, _)| *best);
    let names = |of: &[(f64, &str)], last: &str| {
        let names: Vec<&str> = of.iter().take(MOST).map(|(_, name)| *name).collect();
        match &names[..] {
            [before @ .., end] if !before.is_empty() => format!("{} {last} {end}", before.join(", ")),
            names => names.concat(),
        }
    };
    let near = nearest.iter().take_while(|(alike, _)| *alike >= ALIKE.max(best - MARGIN)).count();
    match near {
        1..=MOST => format!("did you mean {}?", names(&nearest[..near], "or")),
        _ if known.is_empty() => "there is none".into(),
        _ if known.len() <= FEW => format!("there is {}", known.join(", ")),
        _ => format!("the nearest are {}", names(&nearest, "and")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNELS: [&str; 6] =
        ["conv2d/forward", "conv2d/input_gradient", "relu/forward", "lib/gemm", "lib/gemm_subgroup", "sum/merge"];

    #[test]
    fn a_misspelt_name_is_recognised() {
        assert_eq!(offer("conv2d/forwrad", KERNELS), "did you mean conv2d/forward?");
        assert_eq!(offer("gem", KERNELS), "did you mean lib/gemm?");
        assert_eq!(offer("forward", KERNELS), "did you mean conv2d/forward or relu/forward?");
        assert_eq!(offer("conv11", ["conv1", "bn1", "conv2"]), "did you mean conv1?");
    }

    #[test]
    fn where_none_is_alike_few_names_are_all_listed_and_many_are_not() {
        assert_eq!(offer("xyz", ["b", "a"]), "there is b, a", "in their own order");
        assert_eq!(offer("", KERNELS), format!("there is {}", KERNELS.join(", ")));
        assert_eq!(offer("xyz", []), "there is none");
        let many: Vec<String> = (0..=FEW).map(|index| format!("layer{index}")).collect();
        let offered = offer("??", many.iter().map(String::as_str));
        assert_eq!(offered, "the nearest are layer0, layer1, layer10, layer11 and layer12");
        let alike = offer("layer", many.iter().map(String::as_str));
        assert_eq!(alike.matches("layer").count(), MOST, "{alike}");
        let all = offer("layer", many[..8].iter().map(String::as_str));
        assert!(
            all.starts_with("there is layer0, ") && all.ends_with(", layer7"),
            "more than {MOST} are as like: {all}"
        );
    }
}
