//! Matrix units of an adapter: sizes that it lists, and what a device is opened with for them.

use wgpu::{CooperativeMatrixProperties, CooperativeScalarType, Features};

use crate::engine::variant::{MATRICES, MatrixUnits};

/// Features that the kernels need.
pub const FEATURES: Features =
    Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(Features::SHADER_F16).union(Features::SUBGROUP);

/// Matrix units that the kernels can be made for; an error says what is missing. A size that the adapter does not list may run
/// all the same, and many times slower.
pub fn of(
    info: &wgpu::AdapterInfo,
    features: Features,
    listed: &[CooperativeMatrixProperties],
) -> Result<MatrixUnits, String> {
    let missing = FEATURES.difference(features);
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter_names().map(|(name, _)| name).collect();
        return Err(format!("its driver lacks {}", names.join(", ")));
    }
    let lists = |size: &usize| listed.iter().any(|one| is_cube(one, *size as u32));
    let Some(size) = MATRICES.into_iter().find(lists) else {
        let sizes = listed.iter().map(|one| {
            let CooperativeMatrixProperties { m_size, n_size, k_size, ab_type, cr_type, .. } = one;
            format!("{m_size} x {n_size} x {k_size} of {ab_type:?} to {cr_type:?}")
        });
        let sizes = if listed.is_empty() { "nothing".into() } else { sizes.collect::<Vec<_>>().join(", ") };
        let usable = MATRICES.map(|size| format!("{size} x {size} x {size}")).join(" or ");
        return Err(format!("it lists {sizes}, and the kernels multiply {usable} of F16 to F32"));
    };
    Ok(MatrixUnits::new(size, info.subgroup_max_size as usize))
}

/// Whether it multiplies matrices of that many rows and columns, and adds their products up in f32.
fn is_cube(one: &CooperativeMatrixProperties, size: u32) -> bool {
    let kinds = (one.ab_type, one.cr_type) == (CooperativeScalarType::F16, CooperativeScalarType::F32);
    [one.m_size, one.n_size, one.k_size] == [size; 3] && kinds && !one.saturating_accumulation
}

#[cfg(test)]
mod tests {
    use super::*;

    const F16: CooperativeScalarType = CooperativeScalarType::F16;
    const F32: CooperativeScalarType = CooperativeScalarType::F32;

    fn lists([m_size, n_size, k_size]: [u32; 3], cr_type: CooperativeScalarType) -> CooperativeMatrixProperties {
        CooperativeMatrixProperties { m_size, n_size, k_size, ab_type: F16, cr_type, saturating_accumulation: false }
    }

    fn found(features: Features, listed: &[CooperativeMatrixProperties]) -> Result<MatrixUnits, String> {
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
        info.subgroup_max_size = 32;
        of(&info, features, listed)
    }

    #[test]
    fn the_largest_listed_size_with_sums_in_f32_is_taken() {
        let nvidia = [lists([16, 8, 16], F32), lists([16; 3], F16), lists([16; 3], F32), lists([8; 3], F32)];
        assert_eq!(found(FEATURES, &nvidia), Ok(MatrixUnits { size: 16, threads: 128 }));
        assert_eq!(found(FEATURES, &nvidia[3..]), Ok(MatrixUnits { size: 8, threads: 128 }));
    }

    #[test]
    fn an_adapter_without_them_says_what_it_lacks() {
        let intel = found(FEATURES, &[lists([8, 16, 16], F32), lists([8; 3], F16)]).unwrap_err();
        assert!(intel.starts_with("it lists 8 x 16 x 16 of F16 to F32, 8 x 8 x 8 of F16 to F16, and"), "{intel}");
        assert!(found(FEATURES, &[]).unwrap_err().starts_with("it lists nothing, and"));
        let old = found(Features::SUBGROUP | Features::SHADER_F16, &[lists([8; 3], F32)]).unwrap_err();
        assert_eq!(old, "its driver lacks EXPERIMENTAL_COOPERATIVE_MATRIX");
    }
}
