// The index of a workgroup in a dispatch that is folded into two dimensions, since one dimension ends at 65,535
// groups. The last row of the fold may be ragged: kernels return when the index is past their last group.
// Host: engine/shader.rs::fold.

fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
