using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Torch;
using TorchSharp;
using CaptionService.Tests;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Files;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void Every_type_and_shape_comes_back_as_it_was()
    {
        ScalarType[] types = [ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64,
            ScalarType.Int32, ScalarType.Int16, ScalarType.Int8, ScalarType.Byte, ScalarType.Bool];
        long[][] shapes = [[], [0], [1], [5], [2, 3], [3, 0, 2], [2, 1, 3, 2]];
        var saved = new Dictionary<string, Tensor>();
        foreach (ScalarType type in types)
            foreach (long[] shape in shapes)
                saved.Add($"{type} [{string.Join(',', shape)}] é😀\"\\+", rand(shape).times(100).plus(-20).to(type));
        var metadata = new Dictionary<string, string> { ["format"] = "pt", ["licence"] = "CC BY 4.0 – ©", [""] = "" };

        Safetensors.Save(_path, saved, metadata);

        Dictionary<string, Tensor> loaded = Safetensors.Load(_path);
        Assert.Equal(saved.Keys.Order(), loaded.Keys.Order());
        foreach ((string name, Tensor expected) in saved)
        {
            Assert.Equal(expected.dtype, loaded[name].dtype);
            Assert.Equal(expected.shape, loaded[name].shape);
            Assert.Equal(expected.bytes.ToArray(), loaded[name].bytes.ToArray());
        }
        using FileStream file = File.OpenRead(_path);
        Assert.Equal(metadata, Safetensors.ReadHeader(file).Metadata);
    }

    [Fact]
    public void Bytes_are_those_of_the_specification()
    {
        var tensors = new Dictionary<string, Tensor>
        {
            ["bias"] = tensor(new short[] { 1, -2 }),
            ["weight"] = tensor(new float[] { 1, 0.5f }, [1, 2]),
            ["arm"] = tensor(-1f),
        };

        Safetensors.Save(_path, tensors, new Dictionary<string, string> { ["format"] = "pt" });

        // Wider types first, then names; the header padded with spaces to 8 bytes.
        const string Header = """
            {"__metadata__":{"format":"pt"},"arm":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"weight":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},"bias":{"dtype":"I16","shape":[2],"data_offsets":[12,16]}}
            """;
        byte[] data = [0x00, 0x00, 0x80, 0xBF, 0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0x3F, 0x01, 0x00, 0xFE, 0xFF];
        string padded = Header.PadRight((Header.Length + 7) / 8 * 8);
        Assert.Equal(Bytes(padded, data), File.ReadAllBytes(_path));
    }

    [Fact]
    public void A_transposed_tensor_is_saved_in_C_order()
    {
        Tensor transposed = TensorArithmetic.upto(6).to(float32).view(2, 3).t();
        Safetensors.Save(_path, new Dictionary<string, Tensor> { ["t"] = transposed });
        Assert.Equal([0f, 3, 1, 4, 2, 5], Safetensors.Load(_path)["t"].data<float>().ToArray());
    }

    [Fact]
    public void A_tensor_of_several_chunks_comes_back_as_it_was()
    {
        Tensor large = randint(0, 256, [(1 << 24) + 5], uint8);
        Safetensors.Save(_path, new Dictionary<string, Tensor> { ["t"] = large });
        Assert.True(Safetensors.Load(_path)["t"].bytes.SequenceEqual(large.bytes));
    }

    [Fact]
    public void The_shipped_encoder_loads()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "DefaultModels/vgg16/encoder.safetensors");
        Dictionary<string, Tensor> encoder = Safetensors.Load(path);
        Assert.Equal(ScalarType.Float16, encoder["features.0.weight"].dtype);
        Assert.Equal([64, 3, 3, 3], encoder["features.0.weight"].shape);
        Assert.True(encoder.Values.All(weights => weights.isfinite().all().item<bool>()));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", null)]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}   """, null)]
    [InlineData("""{"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", null)]
    [InlineData("""{"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"F64","shape":[0,9],"data_offsets":[0,0]}}""", null)]
    [InlineData(""" {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "begin with '{'")]
    [InlineData("""["a"]""", "begin with '{'")]
    [InlineData("", "begin with '{'")]
    [InlineData("{}", "end at byte")]
    [InlineData("{", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}""", "end at byte")]
    [InlineData("""{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}""", "end at byte")]
    [InlineData("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}""", "begins at byte")]   // hole at the start
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "begins at byte")]   // hole
    [InlineData("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "begins at byte")]   // overlap
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "begins at byte")]   // the same bytes twice
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}""", "has -4 bytes")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}""", "negative")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", "negative")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-2,-2],"data_offsets":[0,4]}}""", "negative")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}""", "its shape and dtype")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}""", "overflow")]   // × 4 wraps to 4
    [InlineData("""{"a":{"dtype":"U8","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}""", "overflow")]
    [InlineData("""{"a":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "overflow")]
    [InlineData("""{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", "overflow")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[[4]],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}""", "two data_offsets")]
    [InlineData("""{"a":{"dtype":"U9","shape":[4],"data_offsets":[0,4]}}""", "unknown dtype 'U9'")]
    [InlineData("""{"a":{"dtype":null,"shape":[4],"data_offsets":[0,4]}}""", "unknown dtype")]
    [InlineData("""{"a":{"shape":[4],"data_offsets":[0,4]}}""", "and nothing else")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}}""", "and nothing else")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]   // a key twice
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}""", "invalid header")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"__metadata__":{"k":1},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"__metadata__":{"k":null},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "is null")]
    [InlineData("""{"__metadata__":[],"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]
    [InlineData("""{"\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "invalid header")]   // half a character
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}{}""", "invalid header")]
    [InlineData("""{"a":1}""", "invalid header")]
    public void A_header_is_read_whole_or_refused_by_name(string header, string? problem)
    {
        File.WriteAllBytes(_path, Bytes(header, [1, 2, 3, 4]));
        if (problem is null)
        {
            Assert.NotEmpty(Safetensors.Load(_path));
            return;
        }
        var refused = Assert.Throws<SafetensorsException>(() => Safetensors.Load(_path));
        Assert.Contains(problem, refused.Message);
        Assert.Contains(_path, refused.Message);
    }

    [Theory]
    [InlineData(new byte[] { }, "too few")]
    [InlineData(new byte[] { 2, 0, 0, 0, 0, 0, 0 }, "too few")]
    [InlineData(new byte[] { 3, 0, 0, 0, 0, 0, 0, 0, 123, 125 }, "in a file of 10 bytes")]
    [InlineData(new byte[] { 0, 225, 245, 5, 0, 0, 0, 0, 123, 125 }, "in a file of 10 bytes")]   // 100,000,000
    [InlineData(new byte[] { 1, 225, 245, 5, 0, 0, 0, 0, 123, 125 }, "at most 100000000")]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 255, 123, 125 }, "at most 100000000")]
    public void A_header_length_is_refused_before_it_is_allocated(byte[] file, string problem)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var refused = Assert.Throws<SafetensorsException>(() => Safetensors.ReadHeader(new MemoryStream(file)));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.Contains(problem, refused.Message);
    }

    // FUZZ_HEADERS=1000000 asks for more.
    [Fact]
    public void A_mutated_header_is_the_named_error_or_what_a_second_reader_reads()
    {
        int headers = int.Parse(Environment.GetEnvironmentVariable("FUZZ_HEADERS") ?? "120000", CultureInfo.InvariantCulture);
        byte[] original = Bytes("""
            {"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"v":{"dtype":"I8","shape":[],"data_offsets":[8,9]},"e":{"dtype":"F16","shape":[2,0],"data_offsets":[9,9]}}
            """, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        byte[] telling = "{}[]\",:-.e019 \\u"u8.ToArray();
        var random = new Random(20_240_601);
        int accepted = 0;
        for (int i = 0; i < headers; i++)
        {
            byte[] mutated = Mutations.Of(original, telling, random);
            try
            {
                SafetensorsHeader header = Safetensors.ReadHeader(new MemoryStream(mutated));
                accepted++;
                Assert.Equal(SecondReader(mutated), header.Entries.Select(e => $"{e.Name} {e.Type} [{string.Join(',', e.Shape)}] {e.Offset}+{e.Length}").Order(StringComparer.Ordinal));
                Assert.Equal(mutated.Length, header.Entries.Count == 0 ? mutated.Length : header.Entries[^1].Offset + header.Entries[^1].Length);
            }
            catch (SafetensorsException)
            {
            }
        }
        Assert.InRange(accepted, headers / 1000, headers * 5 / 6);   // the mutations reach both sides
    }

    [Fact]
    public void A_missing_file_is_an_IOException() =>
        Assert.ThrowsAny<IOException>(() => Safetensors.Load(_path + ".missing"));

    [Fact]
    public void What_the_format_cannot_hold_is_refused_and_the_old_file_kept()
    {
        Safetensors.Save(_path, new Dictionary<string, Tensor> { ["a"] = ones(1) });
        Assert.Throws<ArgumentException>(() => Safetensors.Save(_path, new Dictionary<string, Tensor> { ["a"] = zeros(1, complex64) }));
        Assert.Throws<ArgumentException>(() => Safetensors.Save(_path, new Dictionary<string, Tensor> { ["__metadata__"] = ones(1) }));
        Assert.Single(Safetensors.Load(_path));
    }

    // As a script would read it, believing everything.
    private static IEnumerable<string> SecondReader(byte[] file)
    {
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        JsonObject header = JsonNode.Parse(file.AsSpan(8, length))!.AsObject();
        return header.Where(entry => entry.Key != "__metadata__").Select(entry =>
        {
            long[] offsets = [.. entry.Value!["data_offsets"]!.AsArray().Select(offset => (long)offset!)];
            string type = (string)entry.Value["dtype"]! switch { "F32" => "Float32", "F16" => "Float16", "BF16" => "BFloat16", "F64" => "Float64", "I8" => "Int8", "I16" => "Int16", "I32" => "Int32", "I64" => "Int64", "U8" => "Byte", _ => "Bool" };
            return $"{entry.Key} {type} [{string.Join(',', entry.Value["shape"]!.AsArray().Select(size => (long)size!))}] {8 + length + offsets[0]}+{offsets[1] - offsets[0]}";
        }).Order(StringComparer.Ordinal);
    }

    private static byte[] Bytes(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        var prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length);
        return [.. prefix, .. json, .. data];
    }
}
