using System.Net;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using CaptionService.Api.Captions;
using CaptionService.Tests;

namespace CaptionService.Api.Tests;

/// <summary>The page at <c>/</c>, as files; what it does in a browser is in the tests of the browser.</summary>
public sealed partial class PageFilesTests(Service service)
{
    private static readonly string Root = Path.Combine(Repository.Root, "src/CaptionService.Api/wwwroot");

    private static readonly string[] Files = [.. Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))];

    private static string Text(string file) => File.ReadAllText(Path.Combine(Root, file));

    [Fact]
    public async Task The_root_is_the_page()
    {
        using HttpResponseMessage page = await service.Client.GetAsync("/", Service.Cancellation);
        Assert.Equal((HttpStatusCode.OK, "text/html"), (page.StatusCode, page.Content.Headers.ContentType?.MediaType));
        Assert.Equal(Text("index.html"), await page.Content.ReadAsStringAsync(Service.Cancellation));
    }

    [Fact]
    public async Task Every_file_is_served_with_its_type_and_asked_for_again_only_when_it_changed()
    {
        Assert.NotEmpty(Files);
        foreach (string file in Files)
        {
            using HttpResponseMessage served = await service.Client.GetAsync("/" + file, Service.Cancellation);
            string type = Path.GetExtension(file) switch { ".html" => "text/html", ".js" => "text/javascript", ".css" => "text/css", ".svg" => "image/svg+xml", _ => "text/plain" };
            Assert.Equal((file, HttpStatusCode.OK, type), (file, served.StatusCode, served.Content.Headers.ContentType?.MediaType));
            Assert.True(served.Headers.CacheControl?.NoCache);

            using var again = new HttpRequestMessage(HttpMethod.Get, "/" + file);
            again.Headers.IfNoneMatch.Add(Assert.IsType<EntityTagHeaderValue>(served.Headers.ETag));
            using HttpResponseMessage unchanged = await service.Client.SendAsync(again, Service.Cancellation);
            Assert.Equal(HttpStatusCode.NotModified, unchanged.StatusCode);
        }
    }

    [Theory]
    [InlineData("/js/none.js")]
    [InlineData("/js/")]
    [InlineData("/..%2fappsettings.json")]
    public async Task What_is_no_file_of_it_is_a_problem(string path) => (await Answer.Get(service.Client, path)).IsProblem(404, "not_found");

    [Fact]
    public void What_it_loads_is_there()
    {
        foreach (string file in Files.Where(file => file.EndsWith(".js", StringComparison.Ordinal) || file.EndsWith(".html", StringComparison.Ordinal)))
        {
            foreach (Match import in Loads().Matches(Text(file)))
            {
                string target = Path.GetFullPath(Path.Combine(Root, Path.GetDirectoryName(file)!, import.Groups[1].Value));
                Assert.True(File.Exists(target), $"{file} loads {import.Groups[1].Value}, which is not there.");
            }
        }
    }

    [Fact]
    public void A_content_security_policy_without_inline_script_and_style_holds()
    {
        Assert.DoesNotMatch(@"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", Text("index.html"));
        foreach (string file in Files.Where(file => file.EndsWith(".js", StringComparison.Ordinal)))
        {
            Assert.DoesNotMatch(@"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/)", Text(file));
        }
    }

    [Fact]
    public void Every_language_has_every_text()
    {
        string[] english = Keys("js/lang/en.js");
        Assert.Equal(english.Length, english.Distinct().Count());
        Assert.Equal(english, Keys("js/lang/de.js"));
        Assert.Equal(english, Keys("js/lang/zh.js"));

        string[] used = [.. Files.Where(file => file.EndsWith(".js", StringComparison.Ordinal) && !file.Contains("/lang/", StringComparison.Ordinal))
            .SelectMany(file => UsedKey().Matches(Text(file))).Select(match => match.Groups[1].Value)];
        Assert.NotEmpty(used);
        Assert.Empty(used.Except(english));

        static string[] Keys(string file) => [.. Key().Matches(Text(file)).Select(match => match.Groups[1].Value)];
    }

    [Fact]
    public void Its_options_are_those_of_the_service()
    {
        (string, double, double)[] page = [.. Option().Matches(Text("js/views/options.js"))
            .Select(match => (match.Groups[1].Value, double.Parse(match.Groups[2].ValueSpan), double.Parse(match.Groups[3].ValueSpan)))];
        Assert.Equal(NumberOption.All.Select(option => (option.Name, option.Minimum, option.Maximum)), page);
        var defaults = RequestedOptions.Parse(new Dictionary<string, string>()).Search;
        Assert.Equal([defaults.Count, defaults.BeamWidth, defaults.MaxLength, defaults.MinLength, defaults.LengthNormalization, defaults.Diversity],
            Option().Matches(Text("js/views/options.js")).Select(match => double.Parse(match.Groups[4].ValueSpan)));
    }

    [GeneratedRegex("""(?:from '|src="|(?:stylesheet|icon)" href=")([^'"]+)['"]""")]
    private static partial Regex Loads();

    [GeneratedRegex("^  '([^']+)':", RegexOptions.Multiline)]
    private static partial Regex Key();

    [GeneratedRegex(@"\bt\('([\w.]+)'")]
    private static partial Regex UsedKey();

    [GeneratedRegex(@"\{ name: '(\w+)', min: ([\d.]+), max: ([\d.]+), default: ([\d.]+),")]
    private static partial Regex Option();
}
