"""Compiles SPIR-V compute shaders with a Vulkan driver and prints what its compiler says of them, one line a file.

Nothing runs, so Mesa's RADV does it for AMD chips that are not there: RADV_FORCE_FAMILY=navi21 (Mesa before 26.1).
ANV (Intel) and NVK (NVIDIA) do it above shims that vendors.py builds. Needs PyPI's `vulkan`. Status 1 if a file does not
compile, or spills registers to memory.

usage: RADV_FORCE_FAMILY=FAMILY VK_DRIVER_FILES=radeon_icd.json pipeline_stats.py FILE.spv...
"""

import struct
import sys

import vulkan as vk

STATISTICS = "VK_KHR_pipeline_executable_properties"
# By words that their names begin with, in lower case: RADV's, ANV's and NVK's statistics of registers, and of what does
# not fit in them.
SHOWN = ["vgprs", "sgprs", "lds size", "subgroups per simd", "instruction", "max live registers", "max dispatch width",
         "workgroup memory size", "number of gprs", "max warps/sm"]
SPILLS = ["spilled", "spill", "fill", "scratch", "slm size"]
OP_DECORATE, OP_VARIABLE, BINDING = 71, 59, 33
# By SPIR-V's storage class: UniformConstant, Uniform, StorageBuffer.
DESCRIPTORS = {
    0: vk.VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
    2: vk.VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
    12: vk.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
}


def open_device():
    application = vk.VkApplicationInfo(apiVersion=vk.VK_MAKE_VERSION(1, 1, 0))
    instance = vk.vkCreateInstance(vk.VkInstanceCreateInfo(pApplicationInfo=application), None)
    physical = vk.vkEnumeratePhysicalDevices(instance)[0]
    queue = vk.VkDeviceQueueCreateInfo(queueFamilyIndex=0, pQueuePriorities=[1.0])
    wanted = vk.VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR(pipelineExecutableInfo=True)
    features = vk.VkPhysicalDeviceFeatures2(pNext=wanted, features=vk.vkGetPhysicalDeviceFeatures(physical))
    info = vk.VkDeviceCreateInfo(pNext=features, pQueueCreateInfos=[queue], ppEnabledExtensionNames=[STATISTICS])
    return vk.vkCreateDevice(physical, info, None)


def bindings(code):
    """Binding number -> descriptor type, read from the decorations and variables of a module."""
    words = struct.unpack(f"<{len(code) // 4}I", code)
    numbers, classes = {}, {}
    at = 5
    while at < len(words):
        operation, length = words[at] & 0xFFFF, words[at] >> 16
        if operation == OP_DECORATE and words[at + 2] == BINDING:
            numbers[words[at + 1]] = words[at + 3]
        if operation == OP_VARIABLE:
            classes[words[at + 2]] = words[at + 3]
        at += length
    return {number: DESCRIPTORS[classes[name]] for name, number in numbers.items()}


def compile_file(device, path):
    with open(path, "rb") as file:
        code = file.read()
    module = vk.vkCreateShaderModule(device, vk.VkShaderModuleCreateInfo(codeSize=len(code), pCode=code), None)
    layout = vk.vkCreateDescriptorSetLayout(
        device,
        vk.VkDescriptorSetLayoutCreateInfo(
            pBindings=[
                vk.VkDescriptorSetLayoutBinding(number, kind, 1, vk.VK_SHADER_STAGE_COMPUTE_BIT)
                for number, kind in bindings(code).items()
            ]
        ),
        None,
    )
    # A struct that is put into another one by value must stay alive by itself: it owns its strings.
    stage = vk.VkPipelineShaderStageCreateInfo(stage=vk.VK_SHADER_STAGE_COMPUTE_BIT, module=module, pName="main")
    info = vk.VkComputePipelineCreateInfo(
        flags=vk.VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
        stage=stage,
        layout=vk.vkCreatePipelineLayout(device, vk.VkPipelineLayoutCreateInfo(pSetLayouts=[layout]), None),
    )
    [pipeline] = vk.vkCreateComputePipelines(device, None, 1, [info], None)
    return pipeline


def statistics(device, pipeline):
    """Statistics of each program that a pipeline has become: Intel's compiler may make one for each width."""
    count = vk.vkGetDeviceProcAddr(device, "vkGetPipelineExecutablePropertiesKHR")
    read = vk.vkGetDeviceProcAddr(device, "vkGetPipelineExecutableStatisticsKHR")
    text = lambda name: name if isinstance(name, str) else vk.ffi.string(name).decode()
    return [
        {text(one.name): one.value.u64 for one in read(device, vk.VkPipelineExecutableInfoKHR(pipeline=pipeline, executableIndex=index))}
        for index, _ in enumerate(count(device, vk.VkPipelineInfoKHR(pipeline=pipeline)))
    ]


def of(words, numbers):
    return {name: number for name, number in numbers.items() if name.lower().startswith(tuple(words))}


def main():
    device = open_device()
    failed = 0
    for path in sys.argv[1:]:
        programs = statistics(device, compile_file(device, path))
        # A driver that does not say what it spills proves nothing.
        assert programs and all(of(SPILLS, numbers) for numbers in programs), programs
        spills = any(number for numbers in programs for number in of(SPILLS, numbers).values())
        failed += spills
        shown = [f"{name}={number}" for numbers in programs for name, number in of(SHOWN + SPILLS, numbers).items()]
        print(path, *shown, "SPILLS" if spills else "")
    print(f"{len(sys.argv) - 1 - failed} of {len(sys.argv) - 1} compile without spills")
    sys.exit(failed > 0)


main()
