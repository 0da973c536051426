using System.Text;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Torch;
using TorchSharp;
using CaptionService.Tests;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Files;

public sealed class NpyTests : IDisposable
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
        ScalarType[] types = [ScalarType.Float16, ScalarType.Float32, ScalarType.Float64, ScalarType.Byte, ScalarType.Int32, ScalarType.Int64];
        long[][] shapes = [[], [0], [1], [5], [2, 3], [3, 0, 2], [2, 1, 3, 2]];
        foreach (ScalarType type in types)
            foreach (long[] shape in shapes)
            {
                Tensor saved = rand(shape).times(100).to(type);
                Npy.Save(_path, saved);
                Tensor loaded = Npy.Load(_path);
                Assert.Equal(type, loaded.dtype);
                Assert.Equal(shape, loaded.shape);
                Assert.Equal(saved.bytes.ToArray(), loaded.bytes.ToArray());
            }
    }

    [Fact]
    public void Bytes_are_those_of_the_specification()
    {
        Npy.Save(_path, tensor(new int[] { 1, -2, 3 }));
        byte[] expected =
        [
            0x93, .. "NUMPY"u8, 1, 0, 118, 0,
            .. Encoding.ASCII.GetBytes("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }".PadRight(117)), (byte)'\n',
            1, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 3, 0, 0, 0,
        ];
        Assert.Equal(expected, File.ReadAllBytes(_path));
    }

    [Fact]
    public void Rows_are_found_without_reading_the_array()
    {
        Npy.Save(_path, TensorArithmetic.upto(24).to(float32).view(4, 3, 2));
        using FileStream file = File.OpenRead(_path);
        NpyHeader header = Npy.ReadHeader(file);
        Assert.Equal((ScalarType.Float32, 24L, 0L), (header.Type, header.RowBytes, header.DataOffset % 64));
        var row = new byte[header.RowBytes];
        file.Position = header.DataOffset + 2 * header.RowBytes;
        file.ReadExactly(row);
        Assert.Equal(12f, BitConverter.ToSingle(row));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Every_version_of_the_format_is_read(byte version)
    {
        File.WriteAllBytes(_path, Bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }\n", version));
        Assert.Equal([1, 2, 3, 4], Npy.Load(_path).bytes.ToArray());
    }

    [Theory]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", null)]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", null)]
    [InlineData("{'shape':(1,4,),'fortran_order':False,'descr':'|u1'}    \n", null)]
    [InlineData("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "big-endian")]
    [InlineData("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "Fortran order")]
    [InlineData("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "elements '<c8'")]
    [InlineData("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "elements '|O'")]
    [InlineData("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1,,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': [1], }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1, }", "not a literal")]
    [InlineData("{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } or 1", "not a literal")]
    [InlineData("{}", "not a literal")]
    [InlineData("", "not a literal")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "need 8")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", "need 0")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,), }", "beyond 64 bits")]   // × 4 wraps to 4
    [InlineData("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296), }", "beyond 64 bits")]
    [InlineData("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }", "beyond 64 bits")]
    [InlineData("{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807,), }", "need 9223372036854775807")]
    public void A_header_is_read_whole_or_refused_by_name(string header, string? problem)
    {
        File.WriteAllBytes(_path, Bytes(header));
        if (problem is null)
        {
            Assert.Equal([1, 2, 3, 4], Npy.Load(_path).bytes.ToArray());
            return;
        }
        var refused = Assert.Throws<NpyException>(() => Npy.Load(_path));
        Assert.Contains(problem, refused.Message);
        Assert.Contains(_path, refused.Message);
    }

    [Theory]
    [InlineData(new byte[] { }, "not an .npy")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 1, 0, 0 }, "not an .npy")]
    [InlineData(new byte[] { 0x92, 78, 85, 77, 80, 89, 1, 0, 0, 0 }, "not an .npy")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 4, 0, 0, 0 }, "format 4.0")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 1, 1, 0, 0 }, "format 1.1")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 2, 0, 0, 0, 0 }, "within its header")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 2, 0, 255, 255, 255, 255 }, "at most 10000")]
    [InlineData(new byte[] { 0x93, 78, 85, 77, 80, 89, 1, 0, 9, 0 }, "within its header")]
    public void A_broken_beginning_is_refused_by_name(byte[] file, string problem) =>
        Assert.Contains(problem, Assert.Throws<NpyException>(() => Npy.ReadHeader(new MemoryStream(file))).Message);

    [Fact]
    public void No_mutation_of_a_header_escapes_the_named_error()
    {
        byte[] original = Bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }   \n");
        byte[] telling = "{}()',:<>|fui1248 \n"u8.ToArray();
        var random = new Random(20_240_602);
        int accepted = 0;
        for (int i = 0; i < 120_000; i++)
        {
            byte[] mutated = Mutations.Of(original, telling, random);
            try
            {
                NpyHeader header = Npy.ReadHeader(new MemoryStream(mutated));
                accepted++;
                Assert.Equal(mutated.Length, header.DataOffset + header.RowBytes * header.Shape.FirstOrDefault(1));
            }
            catch (NpyException)
            {
            }
        }
        Assert.InRange(accepted, 100, 100_000);   // the mutations reach both sides
    }

    [Fact]
    public void What_the_format_cannot_hold_is_refused() =>
        Assert.Throws<ArgumentException>(() => Npy.Save(_path, zeros(1, bfloat16)));

    [Fact]
    public void A_missing_file_is_an_IOException() =>
        Assert.ThrowsAny<IOException>(() => Npy.Load(_path + ".missing"));

    private static byte[] Bytes(string header, byte version = 1)
    {
        byte[] length = version == 1 ? BitConverter.GetBytes((ushort)header.Length) : BitConverter.GetBytes(header.Length);
        return [0x93, .. "NUMPY"u8, version, 0, .. length, .. Encoding.Latin1.GetBytes(header), 1, 2, 3, 4];
    }
}
