using System.Diagnostics;
using CaptionService.Api.Captions;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Tests.Captions;

/// <summary>Decoders as processes: what they answer, and what their end ends.</summary>
public sealed class PhotoDecoderTests
{
    private static readonly byte[] s_large = Photos.BlackPng(9000);     // takes half a second and more

    [Fact]
    public async Task Another_process_reads_the_same_pixels_and_refuses_with_the_same_words()
    {
        using PhotoDecoder decoder = Decoders(1);
        foreach (byte[] photo in (byte[][])[Photos.Cat, Photos.BlackPng(4)])
        {
            Photo here = Photo.Decode(photo), there = await decoder.Decode(photo, Service.Cancellation);
            Assert.Equal((here.Width, here.Height), (there.Width, there.Height));
            Assert.True(here.Pixels.Span.SequenceEqual(there.Pixels.Span));
        }
        foreach (byte[] refused in (byte[][])[[], [1, 2, 3], Photos.Cat[..10_000], Photos.BlackPng(12_000)])
        {
            var here = Assert.Throws<PhotoRejectedException>(() => Photo.Decode(refused));
            var there = await Assert.ThrowsAsync<PhotoRejectedException>(() => decoder.Decode(refused, Service.Cancellation));
            Assert.Equal((here.Code, here.Message, here.Found, here.Limit), (there.Code, there.Message, there.Found, there.Limit));
        }
    }

    [Fact]
    public async Task A_photo_that_crashes_its_decoder_is_refused_and_no_other_is_lost()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Processes are found in /proc.");
        HashSet<int> others = [.. DecoderIds()];
        using PhotoDecoder decoder = Decoders(2);
        Task<Photo> hostile = Task.Run(() => decoder.Decode(s_large, Service.Cancellation));
        int process;
        while ((process = DecoderIds().FirstOrDefault(id => !others.Contains(id))) == 0)
        {
            await Task.Delay(1, Service.Cancellation);
        }
        Task<Photo>[] beside = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(() => decoder.Decode(Photos.Cat, Service.Cancellation)))];
        using (Process.Start("kill", ["-SEGV", $"{process}"])) { }

        var refused = await Assert.ThrowsAsync<PhotoRejectedException>(() => hostile);
        Assert.Equal(("broken_photo", "The PNG cannot be decoded: it ended its decoder."), (refused.Code, refused.Message));
        Assert.Equal(422, ProblemTable.Of(refused).Status);
        Assert.All(await Task.WhenAll(beside), photo => Assert.Equal(224 * 224 * 3, photo.Pixels.Length));
        Assert.Equal(9000, (await decoder.Decode(s_large, Service.Cancellation)).Width);      // by the next decoder
    }

    [Fact]
    public async Task A_decoder_has_limited_memory_and_no_settings_and_ends_with_the_server()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Processes are found in /proc.");
        Environment.SetEnvironmentVariable("Planted__Secret", "planted");
        HashSet<int> others = [.. DecoderIds()];
        int[] own;
        using (PhotoDecoder decoder = Decoders(1))
        {
            await decoder.Decode(Photos.Cat, Service.Cancellation);
            own = [.. DecoderIds().Where(id => !others.Contains(id))];
            Assert.NotEmpty(own);
            Assert.Contains(own, id => File.ReadAllText($"/proc/{id}/limits").Contains("Max data size             1000000000", StringComparison.Ordinal));
            Assert.All(own, id => Assert.DoesNotContain("planted", File.ReadAllText($"/proc/{id}/environ"), StringComparison.Ordinal));
        }
        while (own.Any(id => Directory.Exists($"/proc/{id}") && !File.ReadAllText($"/proc/{id}/stat").Contains(") Z ", StringComparison.Ordinal) && DecoderIds().Contains(id)))
        {
            await Task.Delay(10, Service.Cancellation);
        }
    }

    private static PhotoDecoder Decoders(int processes) =>
        new(Options.Create(new CaptioningOptions { DecoderProcesses = processes }), TimeProvider.System, NullLogger<PhotoDecoder>.Instance);

    // Children of this process that are decoders: also those of the services of other tests.
    private static IEnumerable<int> DecoderIds() => Directory.GetDirectories($"/proc/{Environment.ProcessId}/task").SelectMany(Children).Where(id => ReadOrEmpty($"/proc/{id}/cmdline").EndsWith($"\0{PhotoDecoder.Verb}\0", StringComparison.Ordinal));

    private static IEnumerable<int> Children(string thread) =>
        ReadOrEmpty(Path.Combine(thread, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, System.Globalization.CultureInfo.InvariantCulture));

    private static string ReadOrEmpty(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "";      // it has ended
        }
    }
}
